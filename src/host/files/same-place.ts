/** Paths that were written down in different working folders. */
import { normalize } from "node:path"

/**
 * Whether two paths may be one: what is written down may be relative to a folder that a later command does not run in. Only
 * for what is compared by its contents too: `train/0.tar` may be `v2/train/0.tar` here, and need not be.
 */
export function isSamePlace(a: string, b: string): boolean {
  if (a === "" || b === "") return a === b
  const [first, second] = [endOf(a), endOf(b)]
  // `.` and `..` have no name of their own, and may be any folder.
  if (first === "" || second === "") return true
  return first === second || first.endsWith(`/${second}`) || second.endsWith(`/${first}`)
}

/** The part of a path that is the same from wherever it is named. */
function endOf(path: string): string {
  return normalize(`${path}/`)
    .replace(/^(\.\.?\/)+/, "")
    .replace(/\/$/, "")
}
