/** The entries of a run's log: one for each step, and one for each evaluation along the way. */

export interface StepEntry {
  readonly step: number
  /** Pairs, repeats counted. */
  readonly samplesSeen: number
  readonly learningRate: number
  /** The terms that were summed, by name. */
  readonly losses: Readonly<Record<string, number>>
  /** Joint norm of all gradients before clipping. It is not finite where a float16 step was left out; nor may its losses be. */
  readonly gradNorm: number
  /** exp(logitScale), the inverse of the temperature. */
  readonly logitScale: number
  /** Wall time of the step including its batch, and the part of it that was spent waiting for the batch. */
  readonly seconds: number
  readonly dataSeconds: number
  /** Samples that could not be used since the run began or went on, over all processes; absent: none. */
  readonly badSamples?: number
  /** Whether the run went on with this step after it had been stopped; absent: no. */
  readonly isResumed?: true
}

export interface EvaluationEntry {
  readonly step: number
  readonly samplesSeen: number
  /** Main metric of each task, 0 to 1. */
  readonly tasks: Readonly<Record<string, number>>
  readonly average: number
}

export type LogEntry = StepEntry | EvaluationEntry

export function isStep(entry: LogEntry): entry is StepEntry {
  return "losses" in entry
}

export function totalLoss({ losses }: Pick<StepEntry, "losses">): number {
  return Object.values(losses).reduce((sum, loss) => sum + loss, 0)
}

/** Several steps as one entry: the last step, with the means of what varies from step to step. */
export function meanOf(entries: readonly StepEntry[]): StepEntry {
  const last = entries.at(-1)!
  const mean = (value: (entry: StepEntry) => number) => meanOfFinite(entries.map(value))
  const losses = Object.keys(last.losses).map((name) => [name, mean((entry) => entry.losses[name] ?? 0)] as const)
  return {
    ...last,
    losses: Object.fromEntries(losses),
    gradNorm: mean(({ gradNorm }) => gradNorm),
    seconds: mean(({ seconds }) => seconds),
    dataSeconds: mean(({ dataSeconds }) => dataSeconds),
    ...(entries.some(({ isResumed }) => isResumed) && { isResumed: true }),
  }
}

/** Seconds of all steps: an entry stands for those since the one before it, and has their mean. */
export function secondsOf(steps: readonly StepEntry[]): number {
  return steps.reduce((sum, { seconds, step }, i) => sum + seconds * (step - (steps[i - 1]?.step ?? 0)), 0)
}

/** The mean of the finite values: a float16 step that was left out has an infinite norm, and its loss may not be finite. */
export function meanOfFinite(values: readonly number[]): number {
  const finite = values.filter(Number.isFinite)
  return finite.reduce((sum, value) => sum + value, 0) / finite.length
}
