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
import sharp from "sharp"
import { Random } from "../src/core/arrays/random.ts"
import type { Preprocessing } from "../src/core/image/preprocess.ts"
import { Tokenizer } from "../src/core/text/tokenizer.ts"
import { datacompdrAugmentation as config } from "../src/data/augment/config.ts"
import { drawAugmentation } from "../src/data/augment/draw.ts"
import type { EmbeddingKind } from "../src/data/reinforced/embeddings.ts"
import { encodeSamples } from "../src/data/reinforced/encode.ts"
import type { ReinforcedSample } from "../src/data/reinforced/sample.ts"
import { captionsOf } from "../src/data/scenes/captions.ts"
import { renderScene } from "../src/data/scenes/render.ts"
import { sampleScene } from "../src/data/scenes/scene.ts"
import type { TrainingDataConfig } from "../src/data/training/config.ts"
import { openTrainingData } from "../src/data/training/training-data.ts"
import { writeAtomically } from "../src/host/files/files.ts"
import { likeVectors } from "../test/reinforced.ts"

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

interface Kind {
  readonly what: string
  readonly count: number
  /** Null: the pictures as they are. */
  readonly enlarged: readonly [width: number, height: number] | null
  readonly size: number
  readonly embeddingWidth: number
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

async function writeShard(path: string, kind: Kind, embeddings: EmbeddingKind): Promise<void> {
  const format = { output: "webdataset", embeddings, textEmbeddings: "separate", images: true } as const
  await writeAtomically(path, encodeSamples(samplesOf(kind), format))
}

async function* samplesOf({ count, enlarged, size, embeddingWidth }: Kind): AsyncGenerator<ReinforcedSample> {
  const augmentation = { ...config, randomResizedCrop: { ...config.randomResizedCrop, size } }
  for (let i = 0; i < count; i++) {
    const scene = sampleScene(1, "train", i)
    const random = Random.of(1, "loader", i)
    const [width, height] = enlarged ?? [scene.width, scene.height]
    const rendered = await renderScene(scene)
    const jpeg = sharp(rendered).resize(width, height, { fit: "fill" }).jpeg({ quality: 85 })
    const rows = (number: number) => likeVectors(number, embeddingWidth, 0.8, random)
    const { caption, webCaption } = captionsOf(scene)
    yield {
      key: String(i).padStart(6, "0"),
      image: { extension: "jpg", bytes: enlarged ? await jpeg.toBuffer() : rendered },
      url: null,
      texts: [webCaption],
      synTexts: new Map([["syn_text", Array.from({ length: 5 }, () => caption)]]),
      paramAug: Array.from({ length: 10 }, () => drawAugmentation(augmentation, { width, height }, random)),
      embeddings: new Map([
        ["image_emb", rows(10)],
        ["text_emb", rows(1)],
        ["syn_text_emb", rows(5)],
      ]),
      fields: { uid: String(i) },
      others: new Map(),
    }
  }
}

try {
  await main()
} finally {
  rmSync(folder, { recursive: true })
}
