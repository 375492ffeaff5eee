/** Stores a teacher's embeddings of two views of each picture: `node dist/examples/reinforce.js SHARDS OUT TEACHER`. */
import {
  defaultFormat,
  defaultMinImageSize,
  embeddingJob,
  expandShards,
  type Job,
  planShards,
  reinforceLocally,
  requireComplete,
} from "mobileclip/reinforce"

const [shards = "scenes/train", out = "reinforced", teacher = "model"] = process.argv.slice(2)
const stage = embeddingJob({ modelName: teacher, numSamples: 2 })
const job: Job = { stage, format: defaultFormat, seed: 0, minImageSize: defaultMinImageSize }
const tasks = planShards(await expandShards([shards]), out, job.format)
const outcome = await reinforceLocally(job, out, tasks, { workers: 1, threads: 1 })
requireComplete(outcome, out)
for (const { output, samples, bytes } of outcome.results) console.log(`${output}: ${samples} samples, ${bytes} bytes`)
