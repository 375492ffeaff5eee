/** Answers while one types: what was asked last counts, whatever comes first. */
import type { Signal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { isAbort } from "../shared/words.ts"

/** Milliseconds without a key before a query is asked. */
const debounce = 150

export interface Shown<T> {
  readonly answer: Signal<T | null>
  readonly error: Signal<unknown>
  /** Whether what is shown answers a question of before. */
  readonly isAsking: Signal<boolean>
}

/** @param ask null: there is no question, and nothing is shown */
export function useLatest<T>(
  ask: ((signal: AbortSignal) => Promise<T>) | null,
  changes: readonly unknown[],
  { answer, error, isAsking }: Shown<T>,
): void {
  useEffect(() => {
    if (!ask) {
      ;[answer.value, error.value, isAsking.value] = [null, null, false]
      return
    }
    ;[error.value, isAsking.value] = [null, true]
    const own = new AbortController()
    const timer = setTimeout(async () => {
      try {
        const found = await ask(own.signal)
        if (!own.signal.aborted) [answer.value, isAsking.value] = [found, false]
      } catch (thrown) {
        if (own.signal.aborted || isAbort(thrown)) return
        ;[answer.value, error.value, isAsking.value] = [null, thrown, false]
      }
    }, debounce)
    return () => {
      clearTimeout(timer)
      own.abort()
    }
  }, changes)
}
