/** Learning rate as a pure function of the step. */
export interface ScheduleConfig {
  readonly learningRate: number
  readonly warmupSteps: number
  /** The rate reaches zero behind the last step. */
  readonly steps: number
}

/** Linear warm-up from learningRate / warmupSteps, then cosine to 0. Source: open_clip scheduler.py `cosine_lr`. */
export function learningRateAt(step: number, { learningRate, warmupSteps, steps }: ScheduleConfig): number {
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps
  const progress = (step - warmupSteps) / (steps - warmupSteps)
  return 0.5 * learningRate * (1 + Math.cos(Math.PI * progress))
}
