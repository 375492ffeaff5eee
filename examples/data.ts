/** Renders pictures with captions as shards, and looks into one: `node dist/examples/data.js FOLDER`. */
import { join } from "node:path"
import { readShard, renderScenes } from "mobileclip/data"

const [folder = "scenes"] = process.argv.slice(2)
await renderScenes({ out: folder, seed: 1, counts: { train: 64, test: 16, retrieval: 4 } })
for await (const { key, members } of readShard(join(folder, "train/00000.tar"))) {
  console.log(`${key}: ${[...members].map(([name, { length }]) => `${name} ${length} bytes`).join(", ")}`)
}
