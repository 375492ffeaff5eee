/**
 * A migration as a process of its own, to be killed by tests. Arguments: folder of the index, model, and the pictures after which
 * it says so on standard output and goes no further.
 */
import { writeSync } from "node:fs"
import { migrateIndex } from "../src/search/migrate/migrate-index.ts"

const [index, model, most] = process.argv.slice(2)

function wait(done: number): void {
  if (done < Number(most)) return
  writeSync(1, `${done}\n`)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

await migrateIndex(index!, {
  ...{ model: model!, threads: 0 },
  startProgress: (_label, _total, { from = 0 }) => {
    wait(from)
    return { update: wait, done() {} }
  },
})
