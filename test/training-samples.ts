/** Reinforced samples with small pictures, and the shards of them in every layout, for tests of the training data. */
import { mkdtemp, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import sharp from "sharp"
import { Random } from "../src/core/arrays/random.ts"
import type { Preprocessing } from "../src/core/image/preprocess.ts"
import { Tokenizer } from "../src/core/text/tokenizer.ts"
import { datacompdrAugmentation } from "../src/data/augment/config.ts"
import { drawAugmentation } from "../src/data/augment/draw.ts"
import { encodeSamples, type SampleFormat } from "../src/data/reinforced/encode.ts"
import type { ReinforcedSample } from "../src/data/reinforced/sample.ts"
import type { TrainingDataConfig } from "../src/data/training/config.ts"
import { likeVectors } from "./reinforced.ts"

export const smallInput: Preprocessing = {
  size: 16,
  interpolation: "bicubic",
  mean: [0.5, 0.4, 0.3],
  std: [0.2, 0.3, 1],
}

/** Translations are for the size that views are drawn for. */
const augmentation = {
  ...datacompdrAugmentation,
  randomResizedCrop: { ...datacompdrAugmentation.randomResizedCrop, size: smallInput.size },
}

/** Two teachers, 8 wide each. */
export const embeddingWidth = 16

/** A picture, two captions, two keys of synthetic ones, three views and their embeddings. */
export async function pictureSample(key: string, seed = 1): Promise<ReinforcedSample> {
  const random = Random.of(seed, key)
  const [width, height] = [40 + random.int(20), 30 + random.int(20)]
  const pixels = Uint8Array.from({ length: width * height * 3 }, () => random.int(256))
  const image = sharp(pixels, { raw: { width, height, channels: 3 } })
  const syn = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name} ${i} of ${key}`)
  const rows = (count: number) => likeVectors(count, embeddingWidth, 0.8, random)
  return {
    key,
    image: { extension: "jpg", bytes: await image.jpeg({ quality: 90 }).toBuffer() },
    url: null,
    texts: [`first of ${key}`, `second of ${key}`],
    synTexts: new Map([
      ["syn_text", syn("made", 2)],
      ["syn_text_other", syn("other", 3)],
    ]),
    paramAug: Array.from({ length: 3 }, () => drawAugmentation(augmentation, { width, height }, random)),
    embeddings: new Map([
      ["image_emb", rows(3)],
      ["text_emb", rows(2)],
      ["syn_text_emb", rows(2)],
      ["syn_text_other_emb", rows(3)],
    ]),
    fields: { uid: key, caption: `precise of ${key}` },
    others: new Map(),
  }
}

export function pictureSamples(count: number, prefix = "s"): Promise<ReinforcedSample[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => pictureSample(`${prefix}${i}`)))
}

const shardLayouts = {
  npz: { output: "webdataset", embeddings: "npz", textEmbeddings: "separate", images: true },
  joined: { output: "webdataset", embeddings: "npz", textEmbeddings: "joined", images: true },
  "pth.gz": { output: "webdataset", embeddings: "pth.gz", textEmbeddings: "joined", images: true },
  compact: { output: "webdataset", embeddings: "compact", textEmbeddings: "separate", images: true },
  jsonl: { output: "jsonl", embeddings: "npz", textEmbeddings: "separate", images: true },
} as const satisfies Record<string, SampleFormat>

export type ShardLayout = keyof typeof shardLayouts

/** Writes the shard, gzip'd where its name says so -> its path. */
export async function writeSamples(path: string, samples: Iterable<ReinforcedSample>, layout: ShardLayout = "npz") {
  const chunks: Uint8Array[] = []
  for await (const chunk of encodeSamples(samples, shardLayouts[layout])) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  await writeFile(path, path.endsWith(".gz") ? gzipSync(bytes) : bytes)
  return path
}

export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "training-data-"))
}

export const tokenizer = new Tokenizer()

/** One rank, no threads, batches of 4, middle crops; nothing bad is allowed. */
export function trainingConfig(source: string, changes: Partial<TrainingDataConfig> = {}): TrainingDataConfig {
  return {
    ...{ source, batchSize: 4, rank: 0, ranks: 1, seed: 3, preprocessing: smallInput, tokenizer, contextLength: 20 },
    ...{ view: "center", workers: 0, prefetch: 1, maxBadSamples: 0 },
    ...changes,
  }
}
