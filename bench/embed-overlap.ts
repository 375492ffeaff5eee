/**
 * Whether decoding and augmentation keep a teacher busy that blocks its thread, as one on a GPU does, which needs no GPU: the
 * teacher of this program waits, and computes nothing.
 *
 *     node dist/bench/embed-overlap.js [--milliseconds 80] [--batch 64] [--threads 1] [--samples 90]
 *
 * 30 views of 224 pixels for each sample, of a JPEG of 500 x 400; `--milliseconds` for each 60 views. Prints views a second of
 * the threads alone, of the teacher alone and of the stage, and the stage's share of the teacher's.
 */
import { parseArgs } from "node:util"
import sharp from "sharp"
import type { Preprocessing } from "../src/core/image/preprocess.ts"
import type { Teacher } from "../src/core/inference/teacher.ts"
import { datacompdrAugmentation } from "../src/data/augment/config.ts"
import type { ReinforcedSample } from "../src/data/reinforced/sample.ts"
import { renderSample } from "../src/data/scenes/dataset.ts"
import { EmbeddingStage } from "../src/reinforce/stages/embeddings.ts"
import { Ensemble } from "../src/reinforce/stages/ensemble.ts"
import { DrawnViews } from "../src/reinforce/stages/views.ts"

const { values } = parseArgs({
  options: {
    milliseconds: { type: "string", default: "80" },
    batch: { type: "string", default: "64" },
    threads: { type: "string", default: "1" },
    samples: { type: "string", default: "90" },
  },
})
const [milliseconds, batchSize, threads, count] = [
  Number(values.milliseconds),
  Number(values.batch),
  Number(values.threads),
  Number(values.samples),
]
const [perImage, warmUp] = [30, 6]
const preprocessing: Preprocessing = { size: 224, interpolation: "bicubic", mean: [0, 0, 0], std: [1, 1, 1] }
const nobody = new Int32Array(new SharedArrayBuffer(4))

/** Vectors of ones, after a while in which nothing else runs in this thread. */
const teacher: Teacher = {
  ...{ name: "waiting", identity: "waiting", embedDim: 8, preprocessing },
  async encodePixels(_, views) {
    Atomics.wait(nobody, 0, 0, (milliseconds * views) / 60)
    return new Float32Array(8 * views).fill(1)
  },
  encodeTexts: async (texts) => new Float32Array(8 * texts.length).fill(1),
  async [Symbol.asyncDispose]() {},
}

async function main(): Promise<void> {
  const bytes = await photo()
  const samples = (n: number) => Array.from({ length: n }, (_, i) => sampleOf(String(i), bytes))
  const views = new DrawnViews({ config: datacompdrAugmentation, seed: 0, minImageSize: 16, threads })
  const ensemble = new Ensemble([teacher])
  await using stage = new EmbeddingStage({
    ...{ ensemble, views, perImage, batchSize, synTextKey: /^syn/, suffix: "", dtype: "float32" },
  })
  await run(stage, samples(warmUp))
  const alone = await seconds(async () => {
    const made = await Promise.all(samples(warmUp).map((sample) => views.make(sample, perImage, [preprocessing])))
    for (const one of made) views.recycle(one)
  })
  const whole = (count * perImage) / (await seconds(() => run(stage, samples(count))))
  const bare = 60_000 / milliseconds
  console.log(`threads alone ${((warmUp * perImage) / alone).toFixed(0)} views/s, the teacher alone ${bare.toFixed(0)}`)
  console.log(`the stage ${whole.toFixed(0)}, ${(whole / bare).toFixed(2)} of the teacher alone`)
}

async function run(stage: EmbeddingStage, samples: readonly ReinforcedSample[]): Promise<void> {
  const given = async function* () {
    yield* samples
  }
  const refuse = ({ reason }: { readonly reason: string }) => {
    throw new Error(reason)
  }
  for await (const _ of stage.run(given(), refuse));
}

async function photo(): Promise<Uint8Array> {
  const { members } = await renderSample("1", 1, "train", 1)
  return sharp(members.get("jpg")!).resize(500, 400, { fit: "fill" }).jpeg({ quality: 85 }).toBuffer()
}

function sampleOf(key: string, bytes: Uint8Array): ReinforcedSample {
  const nothing = { url: null, paramAug: null, embeddings: new Map(), fields: {}, others: new Map() }
  return { key, texts: ["a caption"], synTexts: new Map(), image: { extension: "jpg", bytes }, ...nothing }
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}

await main()
