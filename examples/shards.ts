/**
 * Puts pictures and what teachers know of them together, checks the result and looks into it:
 * `node dist/examples/shards.js IMAGES REINFORCEMENTS OUT TEACHER`.
 */
import { joinShards, replayViews, shardStats, verifyShards } from "mobileclip/reinforce"

const [images = "scenes/train", reinforcements = "reinforced", out = "joined", teacher = "model"] =
  process.argv.slice(2)
const { matched, withoutReinforcement } = await joinShards({ images, reinforcements, output: out })
console.log(`${matched} pictures joined, ${withoutReinforcement} without reinforcement`)

const { problems } = await verifyShards(out, { samples: 4, threads: 1, teachers: { modelName: teacher } })
for (const { shard, key, reason } of problems) console.log(`${shard}, ${key}: ${reason}`)

const { embeddings, bytes } = await shardStats(out, { contactSheet: { file: `${out}/sheet.png`, rows: 2 } })
console.log(`${Object.keys(embeddings).join(", ")} in ${bytes} bytes, ${problems.length} problems`)

const { views } = await replayViews(out, { output: `${out}/views`, limit: 2 })
console.log(`${views} views in ${out}/views; ${out}/sheet.png shows some with their captions`)
