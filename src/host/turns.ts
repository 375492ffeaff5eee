/** When and how long work in Node lets others have their turn. */
import { setImmediate } from "node:timers/promises"
import { inTurns as takingTurns } from "../core/turns.ts"

/** As the core's, with turns of Node, which wait for no timer. */
export function inTurns<T>(work: Generator<void, T>): Promise<T> {
  return takingTurns(work, setImmediate)
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
