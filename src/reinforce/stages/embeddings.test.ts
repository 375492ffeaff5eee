import { setTimeout } from "node:timers/promises"
import { expect, test } from "vitest"
import { fnv1a } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { Teacher } from "../../core/inference/teacher.ts"
import type { StoredAugmentation } from "../../data/augment/augmentation.ts"
import type { Problem, ReinforcedSample } from "../../data/reinforced/sample.ts"
import { EmbeddingStage, type EmbeddingStageOptions } from "./embeddings.ts"
import { Ensemble } from "./ensemble.ts"
import type { ViewSource } from "./views.ts"

const preprocessing: Preprocessing = { size: 1, interpolation: "bicubic", mean: [0, 0, 0], std: [1, 1, 1] }

/** A vector on the unit circle for each view or text, which says whose it is. */
const circle = (value: number) => [Math.cos(value), Math.sin(value)]
const angleOf = (text: string) => (fnv1a(text) % 1000) / 1000

class FakeTeacher implements Teacher {
  readonly name = "fake"
  readonly embedDim = 2
  readonly preprocessing = preprocessing
  readonly identity = "fake@1"
  readonly batches: number[] = []

  async encodePixels(pixels: Float32Array, count: number): Promise<Float32Array> {
    this.batches.push(count)
    expect(pixels.length).toBe(count * 3)
    return Float32Array.from(Array.from({ length: count }, (_, i) => circle(pixels[i * 3]!)).flat())
  }

  async encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    return Float32Array.from(texts.flatMap((text) => circle(angleOf(text))))
  }

  async [Symbol.asyncDispose]() {}
}

/** Views whose pixels are the sample's key, a number, plus a tenth of the view's. */
const views: ViewSource = {
  parallel: 3,
  async make({ key }, wanted) {
    if (key === "4") throw new UserError("its picture is damaged")
    const drawn = Array.from({ length: Number(wanted) }, (_, i): StoredAugmentation => [[i, 0, 1, 1], []])
    const augmentations = typeof wanted === "number" ? drawn : wanted
    const pixels = augmentations.flatMap(([[top]]) => new Array<number>(3).fill(Number(key) + top / 10))
    return { augmentations, pixels: [Float32Array.from(pixels)], isCutOff: key === "3" }
  },
  recycle() {},
  async [Symbol.asyncDispose]() {},
}

function sample(key: string, changes: Partial<ReinforcedSample> = {}): ReinforcedSample {
  const nothing = { image: null, url: null, paramAug: null, embeddings: new Map(), fields: {}, others: new Map() }
  return {
    key,
    texts: [`text ${key}`],
    synTexts: new Map([["syn_text", [`s ${key}`, `t ${key}`]]]),
    ...nothing,
    ...changes,
  }
}

async function run(samples: readonly ReinforcedSample[], options: Partial<EmbeddingStageOptions> = {}) {
  const teacher = new FakeTeacher()
  const ensemble = new Ensemble([teacher])
  const stage = new EmbeddingStage({
    ...{ ensemble, views, perImage: 3, batchSize: 7, synTextKey: /^syn_text/, suffix: "", dtype: "float32" },
    ...options,
  })
  const problems: Problem[] = []
  const results: ReinforcedSample[] = []
  const given = async function* () {
    yield* samples
  }
  for await (const result of stage.run(given(), (problem) => problems.push(problem))) results.push(result)
  return { results, problems, batches: teacher.batches }
}

const rounded = (values: Iterable<number>) => [...values].map((value) => Math.round(value * 1e5) / 1e5)

test("every view and caption has its own row, whatever the batches", async () => {
  const samples = Array.from({ length: 10 }, (_, i) => sample(String(i)))
  for (const batchSize of [1, 2, 7, 64]) {
    const { results, problems } = await run(samples, { batchSize })
    expect(problems).toEqual([
      { key: "3", reason: "its picture is cut off; what is there was taken", action: "kept" },
      { key: "4", reason: "its picture is damaged", action: "dropped" },
    ])
    expect(results.map(({ key }) => key)).toEqual(["0", "1", "2", "3", "5", "6", "7", "8", "9"])
    for (const { key, embeddings, paramAug } of results) {
      const angles = (...values: number[]) => rounded(values.flatMap(circle))
      expect(paramAug).toEqual([0, 1, 2].map((top) => [[top, 0, 1, 1], []]))
      expect([...embeddings.keys()]).toEqual(["image_emb", "text_emb", "syn_text_emb"])
      const image = embeddings.get("image_emb")!
      expect([image.rows, image.width, image.dtype]).toEqual([3, 2, "float32"])
      expect(rounded(image.values)).toEqual(angles(Number(key), Number(key) + 0.1, Number(key) + 0.2))
      expect(rounded(embeddings.get("text_emb")!.values)).toEqual(angles(angleOf(`text ${key}`)))
      expect(rounded(embeddings.get("syn_text_emb")!.values)).toEqual(angles(angleOf(`s ${key}`), angleOf(`t ${key}`)))
    }
  }
})

test("a teacher is given as many views as fit into a batch", async () => {
  const samples = Array.from({ length: 5 }, (_, i) => sample(String(i + 10)))
  expect((await run(samples, { batchSize: 7 })).batches).toEqual([6, 6, 3])
  expect((await run(samples.slice(0, 1), { batchSize: 2 })).batches).toEqual([2, 1])
})

test("a suffix names the keys, and stored views are made again", async () => {
  const first = sample("1", { paramAug: [[[7, 0, 1, 1], []]], embeddings: new Map([["image_emb", embedding(1)]]) })
  const { results } = await run([first], { suffix: "_b", synTextKey: /^none/ })
  expect([...results[0]!.embeddings.keys()]).toEqual(["image_emb", "image_emb_b", "text_emb_b"])
  expect(rounded(results[0]!.embeddings.get("image_emb_b")!.values)).toEqual(rounded(circle(1.7)))
})

test("samples without a use are reported with the reason", async () => {
  const { results, problems } = await run([
    sample("1", { texts: [" "] }),
    sample("2", { texts: [], synTexts: new Map() }),
    sample("3", { embeddings: new Map([["image_emb", embedding(3)]]) }),
    sample("5", { texts: [] }),
    sample("6", { texts: [], synTexts: new Map([["syn_other", ["o"]]]) }),
  ])
  expect(problems.map(({ key, reason }) => `${key}: ${reason}`)).toEqual([
    "1: its caption is empty",
    "2: it has no caption",
    "3: it has image_emb already: another --tag-suffix keeps both",
    "6: it has no caption but synthetic ones under syn_other, which --syn-text-key-regex leaves out",
  ])
  expect(results.map(({ embeddings }) => [...embeddings.keys()])).toEqual([["image_emb", "syn_text_emb"]])
})

function embedding(rows: number) {
  return { rows, width: 2, values: new Float32Array(rows * 2), dtype: "float32" as const }
}

test("while teachers look at a group, the views of another and of a whole one after it are under way", async () => {
  let [begun, seenAtFirst] = [0, 0]
  const counted: ViewSource = {
    ...views,
    parallel: 2,
    make(...given) {
      begun += 1
      return views.make(...given)
    },
  }
  const teacher = new FakeTeacher()
  const slow: Teacher = {
    ...{ name: "slow", identity: "slow", embedDim: 2, preprocessing, encodeTexts: teacher.encodeTexts },
    async encodePixels(pixels, count) {
      await setTimeout(50)
      seenAtFirst ||= begun
      return teacher.encodePixels(pixels, count)
    },
    async [Symbol.asyncDispose]() {},
  }
  const samples = Array.from({ length: 20 }, (_, i) => sample(String(10 + i)))
  // Two samples are a group.
  await run(samples, { ensemble: new Ensemble([slow]), views: counted })
  expect(seenAtFirst).toBeGreaterThanOrEqual(6)
  expect(seenAtFirst).toBeLessThan(10)
})

test("between two batches the event loop turns, so that threads are answered", async () => {
  let [batches, turns] = [0, 0]
  const turnsBefore: number[] = []
  const teacher = new FakeTeacher()
  const blocking: Teacher = {
    ...{ name: "blocking", identity: "blocking", embedDim: 2, preprocessing, encodeTexts: teacher.encodeTexts },
    encodePixels(pixels, count) {
      turnsBefore.push(turns)
      batches += 1
      setImmediate(() => {
        turns += 1
      })
      return teacher.encodePixels(pixels, count)
    },
    async [Symbol.asyncDispose]() {},
  }
  await run(
    Array.from({ length: 8 }, (_, i) => sample(String(10 + i))),
    { ensemble: new Ensemble([blocking]), batchSize: 2 },
  )
  expect(batches).toBeGreaterThan(8)
  expect(turnsBefore).toEqual(turnsBefore.map((_, i) => i))
})
