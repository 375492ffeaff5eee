/** What the table has to notice: each unit looks at all others, and keeps some kilobytes; or it fails, or does not end. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Prepare } from "../row.ts"

const [keptBytes, longMilliseconds] = [4096, 3_600_000]

export const prepare: Prepare = async (_build, { size: { units, given } }) => {
  return async () => {
    if (given.fails) throw new Error("it was asked to fail")
    if (given.waits) await sleep(longMilliseconds)
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
