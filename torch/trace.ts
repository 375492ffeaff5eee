/** Which operators a function called, and what they took: libtorch's own record of calls, in all threads. */
import type { TraceRow } from "./native.ts"
import { native } from "./tensor.ts"

/**
 * Runs `fn` and returns a row for each operator and each node of backward passes that it called. The record costs a few
 * percent. On a GPU a call ends before its work does.
 *
 * @throws Error inside another trace
 */
export function trace(fn: () => void): TraceRow[] {
  native.startTrace()
  let rows: TraceRow[] = []
  try {
    fn()
  } finally {
    rows = native.stopTrace()
  }
  return rows
}
