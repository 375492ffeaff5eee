/** Saves one state at a time while training goes on; a failure shows at the next one, at the latest at the end. */
import type { TrainingState } from "./state.ts"

export class BackgroundSave {
  private running: Promise<void> = Promise.resolve()
  private error: unknown

  constructor(private readonly save: (state: TrainingState) => void | Promise<void>) {}

  /** Begins when the save before is done. Throws what that one threw. */
  async start(state: TrainingState): Promise<void> {
    await this.finished()
    this.running = this.run(state)
  }

  /** Throws when a save failed. */
  async finished(): Promise<void> {
    await this.running
    const { error } = this
    this.error = undefined
    if (error) throw error
  }

  /** Waits, and does not throw. */
  async settled(): Promise<void> {
    await this.running
  }

  private async run(state: TrainingState): Promise<void> {
    try {
      await this.save(state)
    } catch (error) {
      this.error = error
    }
  }
}
