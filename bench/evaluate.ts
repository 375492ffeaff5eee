/**
 * What an evaluation costs beside the encoding of its pictures: pictures a second bare, through the stage of `reinforce embed`
 * (one view each), and through `evaluate`; a second set of prompts on kept vectors, without the encoding of its texts, and what
 * a text takes; and memory over many pictures.
 *
 *     node dist/bench/evaluate.js MODEL [PICTURES] [CLASSES] [WIDTH]
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import type { BenchmarkDataset } from "../src/benchmark/layout/benchmark-dataset.ts"
import { evaluate } from "../src/benchmark/run/evaluate.ts"
import { ownRow } from "../src/benchmark/run/suites.ts"
import { Random } from "../src/core/arrays/random.ts"
import { preprocess } from "../src/core/image/preprocess.ts"
import { datacompdrAugmentation } from "../src/data/augment/config.ts"
import type { ReinforcedSample } from "../src/data/reinforced/sample.ts"
import { decodeImage } from "../src/host/image/images.ts"
import { EmbeddingStage } from "../src/reinforce/stages/embeddings.ts"
import { Ensemble } from "../src/reinforce/stages/ensemble.ts"
import { DrawnViews } from "../src/reinforce/stages/views.ts"
import { openTeacher } from "../src/teachers/teachers.ts"

const [directory = "model", pictures = "300", classes = "1000", side = "500"] = process.argv.slice(2)
const [count, batchSize] = [Number(pictures), 32]
const files = await Promise.all(Array.from({ length: 64 }, (_, i) => photograph(i)))
const model = await openTeacher(directory)
/** Texts cost the same in any way of encoding pictures. */
const withoutTexts = { ...model, encodeTexts: noTexts }
const cache = mkdtempSync(join(tmpdir(), "bench-evaluate-"))
try {
  await bare(batchSize)
  const [encoding, embedding] = [await timed("encoded alone", bare), await timed("reinforce embed", embed)]
  const whole = await timed("evaluate", () => evaluated("a photo of class {}."))
  const again = await timed("other prompts on kept vectors", () => evaluated("a picture of class {}."))
  console.log(
    `evaluate / embed: ${(embedding / whole).toFixed(3)} of its rate; encoding alone takes ${((100 * encoding) / whole).toFixed(0)} %`,
  )
  console.log(
    `other prompts: ${((100 * again) / whole).toFixed(1)} % of the first run, without the encoding of their texts`,
  )
  const texts = await timed("texts encoded alone", encodeTexts)
  console.log(`a text takes ${(texts / encoding).toFixed(2)} times as long as a picture`)
} finally {
  rmSync(cache, { recursive: true })
  await model[Symbol.asyncDispose]()
}

/** Processor seconds: other programs do not change them much. */
async function timed(name: string, work: (count: number) => Promise<void>): Promise<number> {
  const [begun, cpu] = [performance.now(), process.cpuUsage()]
  await work(count)
  const { user, system } = process.cpuUsage(cpu)
  const [wall, seconds] = [(performance.now() - begun) / 1000, (user + system) / 1e6]
  const memory = Math.round(process.memoryUsage().rss / 2 ** 20)
  console.log(
    `${name}: ${wall.toFixed(1)} s, ${seconds.toFixed(1)} s of processors, ${(count / wall).toFixed(1)}/s, ${memory} MiB`,
  )
  return seconds
}

async function bare(total: number): Promise<void> {
  const { size } = model.preprocessing
  const pixels = new Float32Array(batchSize * 3 * size * size)
  const image = await decodeImage(files[0]!)
  for (let row = 0; row < batchSize; row++)
    preprocess(image, model.preprocessing, pixels.subarray(row * 3 * size * size, (row + 1) * 3 * size * size))
  for (let done = 0; done < total; done += batchSize) await model.encodePixels(pixels, batchSize)
}

async function encodeTexts(total: number): Promise<void> {
  await model.encodeTexts(Array.from({ length: total }, (_, i) => `a photo of class ${i}.`))
}

async function embed(total: number): Promise<void> {
  const views = new DrawnViews({ config: datacompdrAugmentation, seed: 0, minImageSize: 1, threads: 0 })
  const stage = new EmbeddingStage({
    ...{
      ensemble: new Ensemble([withoutTexts]),
      views,
      perImage: 1,
    },
    ...{ batchSize, synTextKey: /^none/, suffix: "", dtype: "float32" },
  })
  for await (const _ of stage.run(samples(total), () => {}));
}

async function noTexts(texts: readonly string[]): Promise<Float32Array> {
  return new Float32Array(texts.length * model.embedDim).fill(1)
}

async function* samples(total: number): AsyncGenerator<ReinforcedSample> {
  for (let i = 0; i < total; i++) {
    const image = { bytes: files[i % files.length]!, extension: "jpg" }
    const nothing = { url: null, paramAug: null, embeddings: new Map(), fields: {}, others: new Map() }
    yield { key: `${i}`, texts: ["one"], synTexts: new Map(), image, ...nothing } as ReinforcedSample
  }
}

async function evaluated(template: string): Promise<void> {
  let next = 1
  const report = await evaluate({
    ...{ models: [withoutTexts], data: "memory", tasks: [ownRow("bench", "classification")], batchSize, cache },
    open: async () => dataset(template),
    startProgress: (_label, _total, { unit }) => ({
      update(done) {
        if (unit !== "pictures" || done < (next * count) / 10) return
        next++
        console.log(`  ${done} pictures: ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`)
      },
      done() {},
    }),
  })
  for (const { reason } of report.failures) throw new Error(reason)
}

function dataset(template: string): BenchmarkDataset {
  return {
    ...({ location: "memory", kind: "classification", split: "test", shards: 1, identity: `bench ${count}` } as const),
    ...{
      classNames: Array.from({ length: Number(classes) }, (_, i) => `${i}`),
      templates: [template],
      groups: null,
      notes: [],
    },
    async *samples() {
      for (let i = 0; i < count; i++) {
        const nothing = { texts: [], metadata: null, associations: null }
        yield { key: `0.tar/${i}`, images: [files[i % files.length]!], label: i % Number(classes), ...nothing }
      }
    },
  }
}

/** By default as large as ImageNet's usual ones, with some detail. */
async function photograph(seed: number): Promise<Uint8Array> {
  const random = new Random(seed)
  const coarse = Uint8Array.from({ length: 50 * 38 * 3 }, () => random.int(256))
  const picture = sharp(coarse, { raw: { width: 50, height: 38, channels: 3 } })
    .resize(Number(side), Math.round(0.75 * Number(side)))
    .jpeg({ quality: 90 })
  return new Uint8Array(await picture.toBuffer())
}
