/** Saves one state at a time while training goes on. A failed save is reported when it is asked for, at the latest by the next save. */
import { messageOf, UserError } from "../../core/errors.ts"
import type { TrainingState } from "./state.ts"

export class BackgroundSave {
  private running: Promise<void> = Promise.resolve()
  private failure: Error | undefined
  private begun: number | undefined

  /** @param written the step of a checkpoint that already exists */
  constructor(
    private readonly save: (state: TrainingState) => void | Promise<void>,
    private written?: number,
  ) {
    this.begun = written
  }

  /** Whether the state at this step is written, or being written. */
  has(step: number): boolean {
    return this.begun === step
  }

  /**
   * Begins when the save before is done, and takes the state only then: its memory is that of the state before. Throws what
   * that save threw.
   */
  async start(take: () => TrainingState): Promise<void> {
    await this.finished()
    const state = take()
    this.begun = state.step
    this.running = this.run(state)
  }

  /** Throws when a save failed, as far as that is known now: a UserError where the save threw one. */
  throwIfFailed(): void {
    if (this.failure) throw this.failure
  }

  /** Waits for the running save. Throws when a save failed. */
  async finished(): Promise<void> {
    await this.running
    this.throwIfFailed()
  }

  /** Waits for the running save, and does not throw. */
  async settled(): Promise<void> {
    await this.running
  }

  /** What a run can go on from, for messages: the last checkpoint that was written completely. */
  get last(): string {
    return this.written === undefined ? "no checkpoint was saved yet" : `the last checkpoint is of step ${this.written}`
  }

  private async run(state: TrainingState): Promise<void> {
    try {
      await this.save(state)
      this.written = state.step
    } catch (error) {
      const message = `the state at step ${state.step} was not saved: ${messageOf(error)}; ${this.last}`
      const options = { cause: error }
      this.failure =
        error instanceof UserError ? new UserError(message, error.hint, options) : new Error(message, options)
    }
  }
}
