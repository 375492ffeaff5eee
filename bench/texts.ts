/**
 * What the length of captions is worth to a causal text tower, of the family's MobileCLIP-B with generated weights, because
 * values do not change the time. Pairs are measured in turn; a ratio is the median of theirs.
 *
 *     npm run build && node dist/bench/texts.js [VARIANT]
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { writeTower } from "../src/benchmark/latency/generated.ts"
import { inBatches } from "../src/core/arrays/batches.ts"
import { median } from "../src/core/arrays/quantile.ts"
import { Random } from "../src/core/arrays/random.ts"
import { l2Normalize } from "../src/core/arrays/similarity.ts"
import { type ClipConfig, type VariantName, variants } from "../src/core/family/variants.ts"
import { type Manifest, towers } from "../src/core/inference/manifest.ts"
import { textBatch } from "../src/core/text/token-rows.ts"
import { Tokenizer } from "../src/core/text/tokenizer.ts"
import { usableProcessors } from "../src/host/processors.ts"
import { modelOf } from "../src/run/model.ts"
import { OnnxGraph, sessionOptions } from "../src/run/session.ts"

const variant = (process.argv[2] ?? "mobileclip-b") as VariantName
const config = variants[variant].model as ClipConfig
const rounds = 5

/** Only common words, each of one token. */
const words = "a the cat dog house tree red blue small large man woman car street water sky on in with of".split(" ")
const random = Random.of(1, "captions")

/** Its tokens include start and end. */
function caption(tokens: number): string {
  return Array.from({ length: tokens - 2 }, () => words[random.int(words.length)]).join(" ")
}

const folder = mkdtempSync(join(tmpdir(), "bench-texts-"))
try {
  await writeTower(config, "text", folder, "text.onnx", { dtype: "fp32" })
  await measure()
} finally {
  rmSync(folder, { recursive: true })
}

async function measure(): Promise<void> {
  const graph = (file: string) => new OnnxGraph(folder, file, sessionOptions({ threads: usableProcessors().count }))
  const manifest = {
    name: variant,
    embedDim: config.embedDim,
    contextLength: 77,
    towers,
    preprocessing: {},
  } as Manifest
  const graphs = { image: graph("image.onnx"), text: graph("text.onnx") }
  await using model = modelOf(manifest, graphs, { textBatch: textBatch.cpu })
  const encode = (texts: readonly string[]) => model.encodeTexts(texts)
  const short = Array.from({ length: 64 }, () => caption(4 + random.int(13)))
  const full = Array.from({ length: 64 }, () => caption(77))
  await reportExactness(short, full[0]!, encode)
  await reportRatio(
    `captions of at most ${longest(short)} tokens, against 77 columns`,
    () => encode(full),
    () => encode(short),
  )
  const mixed = Array.from({ length: 96 }, () => caption(4 + Math.floor(74 * random.uniform() ** 2)))
  const unsorted = () => inBatches(mixed.length, textBatch.cpu, (start, end) => encode(mixed.slice(start, end)))
  await reportRatio(
    `${mixed.length} captions of 4 to ${longest(mixed)} tokens, sorted against unsorted`,
    unsorted,
    () => encode(mixed),
  )
}

function longest(texts: readonly string[]): number {
  const tokenizer = new Tokenizer()
  return Math.max(...texts.map((text) => tokenizer.encode(text).length))
}

/** A text of full length in the batch makes the tower compute all columns of every row. */
async function reportExactness(
  texts: readonly string[],
  fullLength: string,
  encode: (texts: readonly string[]) => Promise<Float32Array>,
): Promise<void> {
  const some = texts.slice(0, textBatch.cpu - 1)
  const trimmed = l2Normalize(await encode(some), config.embedDim)
  const whole = l2Normalize(await encode([...some, fullLength]), config.embedDim)
  const difference = trimmed.reduce((most, value, i) => Math.max(most, Math.abs(value - whole[i]!)), 0)
  console.log(`largest difference of a unit vector's values from 77 columns: ${difference.toExponential(1)}`)
}

async function reportRatio(name: string, slow: () => Promise<unknown>, fast: () => Promise<unknown>): Promise<void> {
  await fast()
  const pairs: [number, number][] = []
  for (let round = 0; round < rounds; round++) pairs.push([await milliseconds(slow), await milliseconds(fast)])
  const [slowMs, fastMs] = [0, 1].map((i) => median(pairs.map((pair) => pair[i]!)))
  const ratio = median(pairs.map(([a, b]) => a / b))
  console.log(`${name}: ${ratio.toFixed(2)} times as fast (${fastMs!.toFixed(0)} against ${slowMs!.toFixed(0)} ms)`)
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}
