/**
 * A migration as a process of its own, to be killed by tests. Arguments: folder of the index, model, and where it says so on
 * standard output and goes no further: a number of pictures, or a moment of the switch, `before`, `within` or `after` its
 * transaction.
 */
import { writeSync } from "node:fs"
import { migrateIndex } from "../src/search/migrate/migrate-index.ts"
import type { SqlValue } from "../src/search/store/database.ts"
import { GenerationFiles } from "../src/search/store/generation-files.ts"
import { IndexStore } from "../src/search/store/index-store.ts"
import { IndexWriter } from "../src/search/store/index-writer.ts"

const [index, model, place] = process.argv.slice(2)

function stop(): never {
  writeSync(1, `${place}\n`)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  throw new Error("nothing wakes it")
}

const moments: Record<string, () => void> = {
  before() {
    IndexWriter.prototype.activate = stop
  },
  within() {
    const run = IndexStore.prototype.run
    IndexStore.prototype.run = function (sql: string, ...values: SqlValue[]) {
      run.call(this, sql, ...values)
      if (sql.startsWith("UPDATE generations SET state")) stop()
    }
  },
  after() {
    GenerationFiles.prototype.remove = stop
  },
}
moments[place!]?.()

function wait(done: number): void {
  if (done >= Number(place)) stop()
}

await migrateIndex(index!, {
  ...{ model: model!, threads: 0 },
  startProgress: (_label, _total, { from = 0 }) => {
    wait(from)
    return { update: wait, done() {} }
  },
})
