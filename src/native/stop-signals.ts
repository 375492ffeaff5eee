/**
 * Answers to stop signals while an addon computes in the main thread: JavaScript's own listeners run only afterwards. An addon
 * that can answer says so when it is loaded; without one, listeners answer when they can.
 */
import { constants } from "node:os"

/** What the addon does on POSIX systems. */
interface SignalAnswerer {
  /**
   * From now on the first signal is answered with `text` on standard error where JavaScript has not claimed the answer after
   * `patience` milliseconds, and a second one ends the process, with the exit code that a shell would report, where JavaScript
   * has not ended it by then. A signal that follows the first within `doubled` milliseconds is not a second one.
   *
   * @param signals their numbers; Node must listen to them already
   */
  armSignals(text: string, signals: readonly number[], patience: number, doubled: number): boolean
  /** Whether the first signal is still to be answered: then it is the caller's. */
  claimAnswer(): boolean
  disarmSignals(): void
}

export interface StopAnswer {
  readonly text: string
  readonly signals: readonly NodeJS.Signals[]
  readonly doubled: number
}

/** Milliseconds that JavaScript has to react by itself: its output is the same as ever then, and temporary files are removed at the end. */
const patience = 100

let answerer: SignalAnswerer | null = null
let wanted: StopAnswer | null = null

export function useForSignals(addon: SignalAnswerer): void {
  answerer = addon
  arm()
}

/** Call it after listeners were added. */
export function armStopSignals(answer: StopAnswer): void {
  wanted = answer
  arm()
}

export function disarmStopSignals(): void {
  if (wanted) answerer?.disarmSignals()
  wanted = null
}

/** Whether a listener has to answer the first signal: not where the addon has done so. */
export function claimAnswer(): boolean {
  return wanted === null || (answerer?.claimAnswer() ?? true)
}

function arm(): void {
  if (!wanted || !answerer) return
  const { text, signals, doubled } = wanted
  answerer.armSignals(
    text,
    signals.map((name) => constants.signals[name]),
    patience,
    doubled,
  )
}
