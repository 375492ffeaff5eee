import { expect, test } from "vitest"
import { runs } from "../../../runs/index.ts"
import { applyOverrides, parseOverride } from "./overrides.ts"
import { defaultRecipe } from "./schema.ts"
import { objectiveOf, trainConfigOf, trainingDataOf } from "./settings.ts"

const recipe = (name: string, ...overrides: string[]) =>
  applyOverrides(runs[name] ?? defaultRecipe, overrides.map(parseOverride), name)

test("the loop's settings", () => {
  const config = trainConfigOf(recipe("mobileclip-blt", "batch.chunk=128", 'lock=["text"]'), {
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
  expect(objectiveOf(recipe("", "loss.kind=coca"))).toEqual({ kind: "coca", clipWeight: 1, captionWeight: 2 })
})

test("the loader's settings", () => {
  expect(trainingDataOf(recipe("dfndr-12m", "data.train=a.tar"))).toEqual({
    ...{ source: "a.tar", format: "auto", reinforced: true, syntheticPattern: "^syn_text_dfn_mscoco38k$" },
    ...{ resampled: true, batchSize: 8192, seed: 0, view: "stored", cropScale: [0.9, 1], captionKey: "web" },
    maxBadSamples: 1000,
  })
  expect(trainingDataOf(recipe("", "data.train=a", "data.mixSynthetic=0.5")).mixSynthetic).toBe(0.5)
  expect(() => trainingDataOf(defaultRecipe)).toThrow("data.train is missing")
})

test("a run may go on with data that moved, not with other captions of it", () => {
  const settings = (...overrides: string[]) => trainConfigOf(recipe("", ...overrides), { steps: 9, device: "cpu" }).data
  expect(settings("data.train=b", "data.workers=3")).toEqual(settings("data.train=a"))
  expect(settings("data.captions=precise")).not.toEqual(settings())
})
