/** What happens in a run of the quickstart, from its stages and their progress: the one place that its growing page asks. */
import { isAbort, UserError } from "../../../core/errors.ts"
import type { StartProgress } from "../../../core/progress.ts"
import type { Stage, StageObserver } from "../../comparison/stages.ts"
import type { PlannedStage } from "./stages.ts"

/** Work of a stage that counts its units. */
export interface Work {
  readonly label: string
  readonly done: number
  /** 0: unknown. */
  readonly total: number
  readonly unit: string
  readonly detail: string
  /** Null while it is not known. */
  readonly secondsLeft: number | null
}

export interface StageState extends PlannedStage, Stage {
  readonly state: "waiting" | "running" | "done"
}

export type RunEnd = { readonly kind: "interrupted" } | { readonly kind: "failed"; readonly why: string }

export interface RunState {
  readonly stages: readonly StageState[]
  readonly work: Work | null
  /** Time of all stages so far, in this process and before it. */
  readonly seconds: number
  /** Those of them before this process; 0: it began the run. */
  readonly earlierSeconds: number
  /** Null while it runs. */
  readonly end: RunEnd | null
}

type Event = "turn" | "progress"

export class RunObserver implements StageObserver {
  private readonly spent: Map<string, number>
  private readonly ended = new Set<string>()
  private running: { readonly name: string; readonly at: number } | null = null
  private work: Counted | null = null
  private end: RunEnd | null = null
  private readonly earlierSeconds: number

  /**
   * @param earlier the times of stages before this process
   * @param onEvent called at each turn (a stage begins or ends, the run stops) and at progress
   * @param now seconds on a clock that never goes back
   */
  constructor(
    private readonly plan: readonly PlannedStage[],
    earlier: readonly Stage[],
    private readonly onEvent: (event: Event) => void,
    private readonly now: () => number = () => performance.now() / 1000,
  ) {
    this.spent = new Map(earlier.map(({ name, seconds }) => [name, seconds]))
    this.earlierSeconds = sumOf(earlier)
  }

  stageBegins(name: string): void {
    this.running = { name, at: this.now() }
    this.onEvent("turn")
  }

  stageEnds(name: string): void {
    this.settle()
    this.ended.add(name)
    this.onEvent("turn")
  }

  /** The same progress, which this observer sees too. */
  watching(start: StartProgress): StartProgress {
    return (label, total, options) => {
      const shown = start(label, total, options)
      const work = new Counted(label, total, options.unit, this.now)
      this.work = work
      return {
        update: (done, detail) => {
          work.update(done, detail)
          shown.update(done, detail)
          this.onEvent("progress")
        },
        done: (detail) => shown.done(detail),
      }
    }
  }

  /** The run has ended with this error. */
  stops(error: unknown): void {
    this.end = isAbort(error) ? { kind: "interrupted" } : { kind: "failed", why: whyOf(error) }
    this.onEvent("turn")
  }

  /** Times of the stages so far, that of the running one included. */
  times(): Stage[] {
    return this.state().stages.flatMap(({ name, seconds }) => (seconds > 0 ? [{ name, seconds }] : []))
  }

  state(): RunState {
    const stages = this.plan.map((stage) => ({ ...stage, ...this.stateOf(stage.name) }))
    const { earlierSeconds, end } = this
    return { stages, work: this.work?.state() ?? null, seconds: sumOf(stages), earlierSeconds, end }
  }

  private stateOf(name: string): Pick<StageState, "state" | "seconds"> {
    const before = this.spent.get(name) ?? 0
    if (this.running?.name === name) return { state: "running", seconds: before + this.now() - this.running.at }
    return { state: this.ended.has(name) ? "done" : "waiting", seconds: before }
  }

  private settle(): void {
    if (this.running) this.spent.set(this.running.name, this.stateOf(this.running.name).seconds)
    this.running = null
    this.work = null
  }
}

function whyOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error instanceof UserError && error.hint !== undefined ? `${error.message}; ${error.hint}` : error.message
}

function sumOf(stages: readonly Stage[]): number {
  return stages.reduce((sum, { seconds }) => sum + seconds, 0)
}

/** The rate counts from the first update: what was done before was resumed, or slow because of the start. */
class Counted {
  private first: { readonly done: number; readonly at: number } | null = null
  private last = 0
  private detail = ""

  constructor(
    private readonly label: string,
    private readonly total: number,
    private readonly unit: string,
    private readonly now: () => number,
  ) {}

  update(done: number, detail = ""): void {
    this.first ??= { done, at: this.now() }
    this.last = done
    this.detail = detail
  }

  state(): Work {
    const { label, total, unit, last: done, detail } = this
    return { label, total, unit, done, detail, secondsLeft: this.secondsLeft() }
  }

  private secondsLeft(): number | null {
    if (!this.first || this.last <= this.first.done || this.total === 0) return null
    const secondsPerUnit = (this.now() - this.first.at) / (this.last - this.first.done)
    return Math.max(0, this.total - this.last) * secondsPerUnit
  }
}
