/** Long work in the event loop's thread, which lets others have their turn: written as a generator that yields in between. */
import { setImmediate } from "node:timers/promises"

/** What the work returns. */
export async function inTurns<T>(work: Generator<void, T>): Promise<T> {
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
    await setImmediate()
  }
}

/** The same without a turn for others: for the few callers that cannot wait. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
  }
}

/** Milliseconds before others have their turn. */
const longestTurn = 20

/** Says when it is time to yield. */
export class TurnClock {
  private began = performance.now()
  private steps = 0

  /** One step may wait long for a disk, so the clock is read often. */
  isOver(): boolean {
    if ((++this.steps & 15) !== 0 || performance.now() - this.began < longestTurn) return false
    this.began = performance.now()
    return true
  }
}
