import type { Device } from "../../torch/index.ts"

/** One comparison with the golden data: `error` is the largest difference found, and it passes at or below `tolerance`. */
export interface Check {
  /** What was compared, for example "text features, torch, reparameterised". */
  readonly what: string
  readonly error: number
  readonly tolerance: number
}

/**
 * Checks one golden file. `path` is the JSON file; pictures and shards it names lie beside it. What libtorch computes, it
 * computes on the device; other engines are left out where that is not the processor.
 */
export type Checker = (path: string, device: Device) => AsyncIterable<Check> | Iterable<Check>

/** 0 or 1 mismatches, tolerance 0: for things that are equal or not. */
export function exact(what: string, equal: boolean): Check {
  return { what, error: equal ? 0 : 1, tolerance: 0 }
}

/** How many of `pairs` differ; tolerance 0. */
export function mismatches(what: string, count: number): Check {
  return { what, error: count, tolerance: 0 }
}
