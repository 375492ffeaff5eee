/** Answers while one types: what was asked last counts, whatever comes first. */
import type { Signal } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"
import { isAbort } from "../shared/words.ts"

/** Milliseconds without a key before a query is asked. */
const debounce = 150

export interface Shown<T> {
  readonly answer: Signal<T | null>
  readonly error: Signal<unknown>
  /** Whether what is shown answers a question of before. */
  readonly isAsking: Signal<boolean>
}

/**
 * @param ask null: there is no question, and nothing is shown
 * @param question what makes another question: until its answer comes, what is shown is marked
 * @param refreshes what asks the same one again
 */
export function useLatest<T>(
  ask: ((signal: AbortSignal) => Promise<T>) | null,
  question: readonly unknown[],
  { answer, error, isAsking }: Shown<T>,
  refreshes: readonly unknown[] = [],
): void {
  const last = useRef<readonly unknown[]>([])
  useEffect(() => {
    if (!ask) {
      ;[answer.value, error.value, isAsking.value] = [null, null, false]
      last.current = []
      return
    }
    if (question.some((part, i) => part !== last.current[i])) [error.value, isAsking.value] = [null, true]
    last.current = question
    const own = new AbortController()
    const timer = setTimeout(async () => {
      try {
        const found = await ask(own.signal)
        if (!own.signal.aborted) [answer.value, error.value, isAsking.value] = [found, null, false]
      } catch (thrown) {
        if (own.signal.aborted || isAbort(thrown)) return
        ;[answer.value, error.value, isAsking.value] = [null, thrown, false]
      }
    }, debounce)
    return () => {
      clearTimeout(timer)
      own.abort()
    }
  }, [...question, ...refreshes])
}
