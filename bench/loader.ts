/**
 * Samples per second and core of loading training data: from shards on disk to finished batches, in processor time of all
 * threads, so that other processes do not count.
 *
 *     npm run build && node dist/bench/loader.js [--seconds 4] [--scenes 2000] [--photographs 100] [--workers 1]
 *
 * Photographs are scenes enlarged to 500 x 400. Reinforced samples have 10 views, 5 synthetic captions, two teachers of
 * 768 (of 256 at 64 pixels). `memory`: decoded once; else read from the shard and decoded each time.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import type { Preprocessing } from "../src/core/image/preprocess.ts"
import { Tokenizer } from "../src/core/text/tokenizer.ts"
import { datacompdrAugmentation as config } from "../src/data/augment/config.ts"
import type { EmbeddingKind } from "../src/data/reinforced/embeddings.ts"
import type { TrainingDataConfig } from "../src/data/training/config.ts"
import { openTrainingData } from "../src/data/training/training-data.ts"
import { type ShardOptions, writeShard } from "./loader/shards.ts"

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "4" },
    scenes: { type: "string", default: "2000" },
    photographs: { type: "string", default: "100" },
    workers: { type: "string", default: "1" },
  },
})
const seconds = Number(options.seconds)
const folder = mkdtempSync(join(tmpdir(), "loader-bench-"))
const tokenizer = new Tokenizer()

interface Kind extends ShardOptions {
  readonly what: string
  readonly embeddings: readonly EmbeddingKind[]
  readonly batchSize: number
}

const kinds: readonly Kind[] = [
  {
    ...{ what: "64-pixel scenes", count: Number(options.scenes), enlarged: null, size: 64 },
    ...{ embeddingWidth: 512, embeddings: ["npz"], batchSize: 128 },
  },
  {
    ...{ what: "500 x 400 JPEG to 256", count: Number(options.photographs), enlarged: [500, 400], size: 256 },
    ...{ embeddingWidth: 1536, embeddings: ["npz", "pth.gz", "compact"], batchSize: 32 },
  },
]

async function main(): Promise<void> {
  for (const kind of kinds) {
    for (const [i, embeddings] of kind.embeddings.entries()) {
      const path = join(folder, `${kind.size}-${embeddings}.tar`)
      await writeShard(path, kind, embeddings)
      for (const memoryBytes of kind.size === 64 ? [2 ** 30, 0] : [0]) {
        const from = memoryBytes ? "memory" : "shard"
        if (i === 0) {
          const plain = await rate(kind, { source: path, view: "crop", memoryBytes })
          console.log(`${kind.what}, plain, from ${from}: ${plain}`)
        }
        const reinforced = await rate(kind, { source: path, format: "reinforced", view: "stored", memoryBytes })
        console.log(`${kind.what}, reinforced (${embeddings}), from ${from}: ${reinforced}`)
      }
    }
  }
}

type Changes = Pick<TrainingDataConfig, "source" | "view" | "memoryBytes"> & Pick<Partial<TrainingDataConfig>, "format">

/** Samples per second of processor time, and of wall time. */
async function rate(kind: Kind, changes: Changes): Promise<string> {
  const preprocessing: Preprocessing = { size: kind.size, interpolation: "bicubic", ...config.normalize }
  const data = await openTrainingData({
    ...{ batchSize: kind.batchSize, rank: 0, ranks: 1, seed: 1, preprocessing, tokenizer, contextLength: 77 },
    ...{ workers: Number(options.workers), prefetch: 3, maxBadSamples: 0 },
    ...changes,
  })
  // The first epoch fills the memory and compiles the code.
  const warmUp = Math.max(data.stepsPerEpoch!, 8)
  let [steps, began, cpu] = [0, 0, process.cpuUsage()]
  for await (const _ of data.batches(0)) {
    steps++
    if (steps === warmUp) [began, cpu] = [performance.now(), process.cpuUsage()]
    if (steps > warmUp && performance.now() - began > 1000 * seconds) break
  }
  const elapsed = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpu)
  await data.close()
  const samples = (steps - warmUp) * kind.batchSize
  return `${((samples * 1e6) / (user + system)).toFixed(0)} a second per core (${(samples / elapsed).toFixed(0)} by the clock)`
}

try {
  await main()
} finally {
  rmSync(folder, { recursive: true })
}
