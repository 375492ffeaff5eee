/**
 * A run of `index` as a process of its own, to be killed by tests within its second batch. Arguments: folder of the index, folder
 * of pictures, model, and the moment at which it says so on standard output and stops until it gets SIGCONT: `vectors`, when they
 * are written and the transaction has not begun; `contents`, after the first row within it; `count`, before it is committed.
 */
import { writeSync } from "node:fs"
import { indexPictures } from "../src/search/indexing/index-pictures.ts"
import type { SqlValue } from "../src/search/store/database.ts"
import { IndexStore } from "../src/search/store/index-store.ts"
import { IndexWriter } from "../src/search/store/index-writer.ts"
import { VectorWriter } from "../src/search/store/vector-file.ts"

const [index, pictures, model, place] = process.argv.slice(2)
let [batches, hasStopped] = [0, false]

const addPictures = IndexWriter.prototype.addPictures
IndexWriter.prototype.addPictures = function (...values) {
  batches++
  addPictures.apply(this, values)
}

function stopAt(moment: string): void {
  if (place !== moment || batches < 2 || hasStopped) return
  hasStopped = true
  writeSync(1, `${moment}\n`)
  process.kill(process.pid, "SIGSTOP")
}

const write = VectorWriter.prototype.write
VectorWriter.prototype.write = function (first: number, rows: Float32Array) {
  write.call(this, first, rows)
  stopAt("vectors")
}

const run = IndexStore.prototype.run
IndexStore.prototype.run = function (sql: string, ...values: SqlValue[]) {
  run.call(this, sql, ...values)
  if (sql.startsWith("INSERT INTO contents")) stopAt("contents")
  if (sql.startsWith("INSERT INTO meta") && values[0] === "count") stopAt("count")
}

await indexPictures(index!, [pictures!], { model: model!, threads: 2 })
