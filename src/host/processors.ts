/** How many processors this process may use. */
import { availableParallelism } from "node:os"

export interface Processors {
  readonly count: number
  /** What limits them, for people. */
  readonly reason: string
}

export function usableProcessors(): Processors {
  const count = availableParallelism()
  return { count, reason: `${count} processors` }
}
