import { expect, test } from "vitest"
import { recipes } from "../../../recipes/index.ts"
import { applyOverrides, parseOverride } from "./overrides.ts"
import { resolvedRecipe } from "./resolved.ts"
import { defaultRecipe } from "./schema.ts"
import { objectiveOf, trainConfigOf, trainingDataOf } from "./settings.ts"

const recipe = (name: string, ...overrides: string[]) =>
  applyOverrides(recipes[name] ?? defaultRecipe, overrides.map(parseOverride), name)

test("the loop's settings", () => {
  const config = trainConfigOf(recipe("mobileclip-blt", "batch.chunk=128", "start=a", 'lock=["text"]'), {
    ...{ steps: 600_000, device: "cuda", threads: 4 },
  })
  expect(config).toMatchObject({
    objective: { kind: "distill", weights: [0.25, 0.75], scales: [100, 100], averageAfterSoftmax: true },
    ...{ batchSize: 65_536, chunkSize: 128, steps: 600_000, warmupSteps: 2000, constantSteps: 300_000 },
    ...{ learningRate: 1e-3, minLearningRate: 1e-6, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.2 },
    ...{ precision: "bfloat16", ema: 0.9995, locked: ["text"], device: "cuda", threads: 4, saveEvery: 2000 },
  })
  expect(config).not.toHaveProperty("layerDecay")
  expect(config).not.toHaveProperty("evaluateEvery")
})

test("the losses", () => {
  expect(objectiveOf(defaultRecipe)).toEqual({ kind: "clip" })
  expect(objectiveOf(recipe("", "loss.kind=siglip"))).toEqual({ kind: "siglip" })
  const distilled = ["loss.kind=siglip", "data.reinforced=true", "loss.weights=[0,1]"]
  expect(objectiveOf(recipe("", ...distilled, "loss.teacherScales=[70]", "loss.teacherBiases=[-10]"))).toEqual({
    kind: "siglip",
    distill: { weights: [0, 1], scales: [70], biases: [-10], averageAfterSoftmax: true },
  })
  const captioner = ["model=quickstart-captioner", "loss.kind=coca"]
  expect(objectiveOf(recipe("", ...captioner))).toEqual({ kind: "coca", clipWeight: 1, captionWeight: 2 })
  expect(objectiveOf(recipe("", ...captioner, "loss.sampledWords=64"))).toMatchObject({ sampledWords: 64 })
})

test("with teachers and no weights, distillation alone; with weights, those", () => {
  const online = ['teachers=["a"]', "loss.teacherScales=[70]"]
  expect(objectiveOf(recipe("", "loss.kind=distill", ...online))).toMatchObject({ weights: [0, 1] })
  expect(objectiveOf(recipe("", "loss.kind=siglip", ...online))).toMatchObject({ distill: { weights: [0, 1] } })
  expect(objectiveOf(recipe("", "loss.kind=distill", ...online, "loss.weights=[1,2]"))).toMatchObject({
    weights: [1, 2],
  })
  const plain = recipe("", "loss.kind=siglip", "data.reinforced=true", "loss.weights=[1,0]")
  expect(objectiveOf(plain)).toEqual({ kind: "siglip" })
})

test("reinforced data are used with their stored views, and embeddings are read where the loss uses them", () => {
  const read = (...overrides: string[]) => {
    const { view, reinforced, embeddings } = trainingDataOf(recipe("", "data.train=a", ...overrides))
    return { view, reinforced, embeddings }
  }
  const distilled = ["loss.kind=distill", "loss.teacherScales=[70]"]
  expect(read()).toEqual({ view: "crop", reinforced: false, embeddings: false })
  expect(read("data.reinforced=true")).toEqual({ view: "stored", reinforced: true, embeddings: false })
  expect(read("data.format=reinforced", ...distilled)).toEqual({ view: "stored", reinforced: true, embeddings: true })
  const online = read("data.format=reinforced", ...distilled, 'teachers=["a"]', "data.view=center")
  expect(online).toEqual({ view: "center", reinforced: true, embeddings: false })
  expect(resolvedRecipe(recipe("", "data.format=reinforced", ...distilled))).toMatchObject({
    data: { view: "stored" },
    loss: { weights: [0, 1] },
  })
})

test("the loader's settings", () => {
  expect(trainingDataOf(recipe("dfndr-12m", "data.train=a.tar"))).toEqual({
    ...{ source: "a.tar", format: "auto", reinforced: true, syntheticPattern: "^syn_text_dfn_mscoco38k$" },
    ...{ resampled: true, batchSize: 8192, seed: 0, view: "stored", cropScale: [0.9, 1], captionKey: "web" },
    ...{ truncated: "accept", maxBadSamples: 0.01, embeddings: true },
    toAllowMore: "--max-bad-samples 2% (or a number)",
  })
  const columns = ["data.imageColumn=file", "data.captionColumn=title", "data.separator=;", "data.teacherWidths=[8,8]"]
  expect(trainingDataOf(recipe("", "data.train=a.csv", ...columns))).toMatchObject({
    ...{ imageColumn: "file", captionColumn: "title", separator: ";", teacherWidths: [8, 8] },
  })
  expect(trainingDataOf(recipe("", "data.train=a", "data.mixSynthetic=0.5")).mixSynthetic).toBe(0.5)
  expect(() => trainingDataOf(defaultRecipe)).toThrow("data.train is missing")
})

test("a run may go on with data that was moved, not with other captions", () => {
  const settings = (...overrides: string[]) => trainConfigOf(recipe("", ...overrides), { steps: 9, device: "cpu" }).data
  expect(settings("data.train=b", "data.workers=3")).toEqual(settings("data.train=a"))
  expect(settings("data.captions=precise")).not.toEqual(settings())
  expect(settings("data.truncated=refuse")).toEqual({ ...settings(), truncated: "refuse" })
})

test("a run's settings name its teachers and its start; without these they are as in earlier versions", () => {
  const settings = (...overrides: string[]) =>
    trainConfigOf(recipe("", ...overrides), { steps: 9, device: "cpu" }).data!
  const taught = ["loss.kind=distill", 'teachers=["runs/a","runs/b"]', "loss.teacherScales=[20,30]"]
  expect(settings(...taught, "start=runs/c")).toMatchObject({ teachers: "runs/a runs/b", start: "runs/c" })
  expect(settings()).toEqual({
    ...{ format: "auto", reinforced: "false", syntheticPattern: "^syn_text.*$", mixSynthetic: "null" },
    ...{ resampled: "false", view: "crop", cropScale: "0.9,1", captions: "web", samples: "null" },
  })
})

test("statistics are frozen everywhere, nowhere or in one tower", () => {
  const frozen = (value: string) =>
    trainConfigOf(recipe("", `frozenStatistics=${value}`), { steps: 9, device: "cpu" }).frozenStatistics
  expect([frozen("true"), frozen("false"), frozen('["image"]')]).toEqual([true, false, ["image"]])
})
