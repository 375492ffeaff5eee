/**
 * Bytes per sample of each layout at the papers' numbers of views and captions, and what the compact layout loses.
 *
 *     npm run build && node dist/bench/reinforced-bytes.js [SAMPLES=64]
 *
 * Samples have two teachers of 768. `independent` vectors have nothing in common, the worst case for the compact layout;
 * `alike` ones have cosines of 0.8 within a sample, as views of a picture and captions of it have. Loss is against
 * float32: the lowest and mean cosine of a teacher's part, and how often a view's most similar text of all samples is
 * the same one, also where the two best texts differ by at least 0.1 in the logits at the scale of 100.
 */
import { Random } from "../src/core/arrays/random.ts"
import { type EmbeddingKind, readEmbeddings, writeEmbeddings } from "../src/data/reinforced/embeddings.ts"
import { encodeSamples, type SampleFormat } from "../src/data/reinforced/encode.ts"
import type { Embeddings, ReinforcedSample } from "../src/data/reinforced/sample.ts"
import { reinforcedSample } from "../test/reinforced.ts"

const count = Number(process.argv[2] ?? 64)
const width = 1536
const part = width / 2
const scale = 100

/** Views and texts, and the datasets that have them. */
const settings = [
  { views: 30, texts: 6, name: "DataCompDR-12M" },
  { views: 10, texts: 6, name: "DataCompDR-1B" },
  { views: 5, texts: 6, name: "5 views" },
  { views: 2, texts: 6, name: "DFNDR-2B" },
] as const

const layouts: readonly (readonly [name: string, format: SampleFormat])[] = [
  ["npz (float32)", { output: "webdataset", embeddings: "npz", textEmbeddings: "joined", images: false }],
  ["pth.gz (bfloat16)", { output: "webdataset", embeddings: "pth.gz", textEmbeddings: "joined", images: false }],
  ["compact", { output: "webdataset", embeddings: "compact", textEmbeddings: "joined", images: false }],
  ["jsonl (float32)", { output: "jsonl", embeddings: "npz", textEmbeddings: "separate", images: false }],
  ["jsonl, rounded", { output: "jsonl", embeddings: "pth.gz", textEmbeddings: "separate", images: false }],
]

for (const [name, likeness] of [
  ["independent", 0],
  ["alike", 0.8],
] as const) {
  // biome-ignore format: two
  console.log(`\n${name}: bytes per sample in the shard, and of the embeddings alone`)
  for (const setting of settings) await reportBytes(setting, likeness)
  console.log(`${name}: loss at 30 views and 6 texts of ${count} samples`)
  for (const kind of ["pth.gz", "compact"] as const) await reportLoss(kind, likeness)
}

async function reportBytes({ views, texts, name }: (typeof settings)[number], likeness: number): Promise<void> {
  const samples = samplesOf(views, texts, likeness)
  console.log(`  ${name}, ${views} + ${texts}`)
  const brain = await shardBytes(samples, layouts[1]![1])
  const brainAlone = memberBytes(samples, "pth.gz")
  for (const [layout, format] of layouts) {
    const bytes = await shardBytes(samples, format)
    const share = `${((100 * bytes) / brain).toFixed(1)} % of pth.gz's`
    const alone = format.output === "jsonl" ? null : memberBytes(samples, format.embeddings)
    const rest = alone === null ? "" : `; embeddings ${kilobytes(alone)}, ${((100 * alone) / brainAlone).toFixed(1)} %`
    console.log(`    ${layout.padEnd(18)} ${kilobytes(bytes)} (${share}${rest})`)
  }
}

function samplesOf(views: number, texts: number, likeness: number): ReinforcedSample[] {
  const sizes = { views, captions: texts - 1, width, likeness }
  return Array.from({ length: count }, (_, i) => reinforcedSample(hexKey(i), 1, sizes))
}

/** As long as the released keys. */
function hexKey(i: number): string {
  const random = Random.of(1, i)
  return Array.from({ length: 4 }, () => random.uint32().toString(16).padStart(8, "0")).join("")
}

async function shardBytes(samples: readonly ReinforcedSample[], format: SampleFormat): Promise<number> {
  let bytes = 0
  for await (const chunk of encodeSamples(samples, format)) bytes += chunk.length
  return bytes / samples.length
}

function memberBytes(samples: readonly ReinforcedSample[], kind: EmbeddingKind): number {
  const sizes = samples.map(({ embeddings }) => writeEmbeddings(kind, embeddings).length)
  return sizes.reduce((total, size) => total + size, 0) / samples.length
}

async function reportLoss(kind: EmbeddingKind, likeness: number): Promise<void> {
  const samples = samplesOf(30, 6, likeness)
  const start = performance.now()
  const members = samples.map(({ embeddings }) => writeEmbeddings(kind, embeddings))
  const middle = performance.now()
  const decoded: ReadonlyMap<string, Embeddings>[] = []
  for (const member of members) decoded.push(await readEmbeddings(kind, member))
  const [write, read] = [middle - start, performance.now() - middle].map((time) => (time / count).toFixed(2))
  const exact = samples.map(({ embeddings }) => embeddings)
  const { lowest, mean } = cosines(exact, decoded)
  const { all, clear } = agreement(exact, decoded)
  const loss = `cosine at least 1 - ${(1 - lowest).toExponential(1)}, on average 1 - ${(1 - mean).toExponential(1)}`
  console.log(
    `  ${kind}: ${loss}; same top text ${all}, where it is clear ${clear}; ${write} ms to write, ${read} to read`,
  )
}

type Both = readonly ReadonlyMap<string, Embeddings>[]

function cosines(exact: Both, decoded: Both): { lowest: number; mean: number } {
  const all = exact.flatMap((embeddings, i) =>
    [...embeddings].flatMap(([name, { values, rows }]) => {
      const found = decoded[i]!.get(name)!.values
      return Array.from({ length: 2 * rows }, (_, p) => cosine(values, found, p * part, p * part))
    }),
  )
  return { lowest: Math.min(...all), mean: all.reduce((sum, value) => sum + value, 0) / all.length }
}

function cosine(a: Float32Array, b: Float32Array, i: number, j: number): number {
  return dot(a, b, i, j) / Math.sqrt(dot(a, a, i, i) * dot(b, b, j, j))
}

function dot(a: Float32Array, b: Float32Array, i: number, j: number): number {
  let sum = 0
  for (let k = 0; k < part; k++) sum += a[i + k]! * b[j + k]!
  return sum
}

/** How often the most similar of the first texts of all samples stays the same, over teachers and views. */
function agreement(exact: Both, decoded: Both): { all: string; clear: string } {
  const counts = { same: 0, total: 0, clearSame: 0, clear: 0 }
  for (let i = 0; i < exact.length; i++) {
    for (let row = 0; row < 30; row += 5) {
      for (const teacher of [0, part]) {
        const [wanted, found] = [exact, decoded].map((both) => logits(both, i, row * width + teacher, teacher))
        const [first, second] = wanted!.toSorted().toReversed()
        const same = Number(largest(wanted!) === largest(found!))
        const isClear = first! - second! >= 0.1
        counts.same += same
        counts.total++
        if (isClear) counts.clearSame += same
        if (isClear) counts.clear++
      }
    }
  }
  return { all: `${counts.same} of ${counts.total}`, clear: `${counts.clearSame} of ${counts.clear}` }
}

function logits(both: Both, sample: number, at: number, teacher: number): Float64Array {
  const view = both[sample]!.get("image_emb")!.values
  return Float64Array.from(both, (embeddings) => scale * dot(view, embeddings.get("text_emb")!.values, at, teacher))
}

function largest(values: Float64Array): number {
  return values.indexOf(Math.max(...values))
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} kB`
}
