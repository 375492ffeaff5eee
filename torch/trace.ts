/** Which operators a function called, and what they took: libtorch's own record of calls, in all threads. */
import type { TraceRow } from "./native.ts"
import { refusePromise } from "./scope.ts"
import { type Device, native } from "./tensor.ts"

let isTracing = false

/**
 * Runs `fn` and returns a row for each operator and each node of backward passes that it called. The record costs
 * less than a microsecond a call, a tenth of a step of small operators.
 *
 * @param device where a GPU's work is waited for at the end of each outermost operator: the times are then its own, with
 *   the gaps between the calls
 * @throws Error inside another trace
 */
export function trace(fn: () => void, device: Device = "cpu"): TraceRow[] {
  native.startTrace(device)
  isTracing = true
  let rows: TraceRow[] = []
  try {
    fn()
  } finally {
    isTracing = false
    rows = native.stopTrace()
  }
  return rows
}

/** Calls of `fn` have "region:name" in their paths, where a trace runs; else it is called, and nothing more. */
export function region<T>(name: string, fn: () => T): T {
  if (!isTracing) return fn()
  native.beginRegion(name)
  try {
    const result = fn()
    refusePromise("region", result)
    return result
  } finally {
    native.endRegion()
  }
}
