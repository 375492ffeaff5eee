/** A machine that fails for a while: its work waits, longer every time, until it works again or patience ends. */
import { setTimeout as sleep } from "node:timers/promises"

interface OutageOptions {
  /** Seconds to wait, one time after the other. */
  readonly pauses: readonly number[]
  /** Ends a pause. */
  readonly signal?: AbortSignal
  /** Told of every pause, in a line. */
  readonly onNote?: (text: string) => void
}

/** In seconds: eight minutes together. */
export const defaultPauses: readonly number[] = [5, 15, 45, 120, 300]

export class Outage {
  private waits = 0
  private pause: Promise<boolean> | null = null

  constructor(private readonly options: OutageOptions) {}

  /** Something succeeded. */
  over(): void {
    this.waits = 0
  }

  /** Waits; false where patience is at its end. What fails while others wait is of the same outage, and waits with them. */
  wait(reason: string): Promise<boolean> {
    this.pause ??= this.next(reason).finally(() => {
      this.pause = null
    })
    return this.pause
  }

  private async next(reason: string): Promise<boolean> {
    const { pauses, signal, onNote } = this.options
    const seconds = pauses[this.waits]
    if (seconds === undefined) return false
    this.waits++
    onNote?.(`${reason}; trying again in ${seconds} s (${this.waits} of ${pauses.length})`)
    await sleep(seconds * 1000, undefined, signal ? { signal } : {}).catch(() => {})
    return true
  }
}
