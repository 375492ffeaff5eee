/** Reinforced samples and shards made for tests: unit vectors that resemble each other as views do, and raw archives. */
import { pack } from "tar-stream"
import { Random } from "../src/core/arrays/random.ts"
import type { StoredAugmentation } from "../src/data/augment/augmentation.ts"
import { readSamples } from "../src/data/reinforced/read.ts"
import type { Embeddings, Problem, ReinforcedSample } from "../src/data/reinforced/sample.ts"

/** Rows of two teachers' unit vectors whose cosines among themselves are about `likeness`. */
export function likeVectors(rows: number, width: number, likeness: number, random: Random): Embeddings {
  const values = new Float32Array(rows * width)
  for (const [begin, end] of [
    [0, width / 2],
    [width / 2, width],
  ] as const) {
    // biome-ignore format: two teachers
    const common = unit(end - begin, random)
    for (let row = 0; row < rows; row++) {
      const own = unit(end - begin, random)
      const mixed = own.map((x, i) => Math.sqrt(likeness) * common[i]! + Math.sqrt(1 - likeness) * x)
      values.set(normalized(mixed), row * width + begin)
    }
  }
  return { rows, width, values, dtype: "float32" }
}

function unit(width: number, random: Random): Float64Array {
  return normalized(Float64Array.from({ length: width }, () => random.normal()))
}

function normalized(vector: Float64Array): Float64Array {
  const length = Math.hypot(...vector)
  return vector.map((x) => x / length)
}

interface SampleSizes {
  readonly views?: number
  readonly captions?: number
  readonly width?: number
  readonly likeness?: number
}

/** A sample of the released layout: no picture, views, synthetic captions, joined embeddings. */
export function reinforcedSample(key: string, seed: number, sizes: SampleSizes = {}): ReinforcedSample {
  const { views = 3, captions = 2, width = 16, likeness = 0.8 } = sizes
  const random = Random.of(seed, key)
  const syn = Array.from({ length: captions }, (_, i) => `caption ${i} of ${key}: a photo of a ${random.int(1000)}`)
  return {
    key,
    image: null,
    url: `https://example.com/${key}.jpg`,
    texts: [`picture ${key}`],
    synTexts: new Map([["syn_text", syn]]),
    paramAug: Array.from({ length: views }, () => storedView(random)),
    embeddings: new Map([
      ["image_emb", likeVectors(views, width, likeness, random)],
      ["text_emb", likeVectors(1 + captions, width, likeness, random)],
    ]),
    fields: { uid: key, sha256: "0".repeat(64) },
    others: new Map(),
  }
}

function storedView(random: Random): StoredAugmentation {
  const op = () => [1 + random.int(9), Math.fround(random.uniform(-9, 9))] as const
  return [
    [random.int(50), random.int(50), 100 + random.int(200), 100 + random.int(200)],
    [op(), op()],
  ]
}

/** An archive of these files, in their order. */
export async function tarOf(files: Iterable<readonly [name: string, content: string | Uint8Array]>): Promise<Buffer> {
  const archive = pack()
  for (const [name, content] of files) archive.entry({ name, mtime: new Date(0) }, Buffer.from(content))
  archive.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of archive as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export async function collect(path: string): Promise<{ samples: ReinforcedSample[]; problems: Problem[] }> {
  const samples: ReinforcedSample[] = []
  const problems: Problem[] = []
  for await (const sample of readSamples(path, (problem) => problems.push(problem))) samples.push(sample)
  return { samples, problems }
}
