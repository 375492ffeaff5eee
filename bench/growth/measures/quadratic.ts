/** What the table has to notice: each unit looks at all others, and keeps some kilobytes. With a fault, it fails. */
import type { Prepare } from "../row.ts"

const keptBytes = 4096

export const prepare: Prepare = async (_build, { size: { units, given } }) => {
  return async () => {
    if (given.fault) throw new Error("it was asked to fail")
    const kept: Uint8Array[] = []
    let found = 0
    for (let i = 0; i < units; i++) {
      kept.push(new Uint8Array(keptBytes).fill(1))
      for (let j = 0; j < units; j++) if ((i ^ j) === units) found++
    }
    if (found + kept.length < units) throw new Error("nothing was kept")
    return undefined
  }
}
