import { expect, test } from "vitest"
import { captioners, variants } from "../core/family/variants.ts"
import { averaged, bestOf, isBest, isStalled } from "./average.ts"
import { batchSizeFor, chunkSizeFor, finetuneConfig, patienceFor, rateFor, stepsFor } from "./settings.ts"

const clip = variants["mobileclip2-s0"].model

test("batches and steps follow from the number of pictures", () => {
  expect([8, 40, 100, 255, 256, 5000].map(batchSizeFor)).toEqual([8, 8, 16, 32, 64, 64])
  expect(stepsFor(36, 8)).toBe(100)
  expect(stepsFor(6400, 64)).toBe(1000)
  expect(stepsFor(1e6, 64)).toBe(10_000)
  expect(stepsFor(36, 8, 1)).toBe(5)
})

test("the rate scales with the root of the batch, the warm-up with the steps; statistics stay", () => {
  const settings = { seed: 3, device: "cpu" } as const
  expect(finetuneConfig(1600, settings, clip, 64)).toMatchObject({
    ...{ batchSize: 64, steps: 250, learningRate: 3e-5, warmupSteps: 25, layerDecay: 0.9, frozenStatistics: true },
    ...{ saveEvery: 13, evaluateEvery: 13, seed: 3 },
  })
  const small = finetuneConfig(1600, { ...settings, batchSize: 16, lock: "text", precision: "bfloat16" }, clip, 8)
  expect(small).toMatchObject({ learningRate: 1.5e-5, locked: ["text"], precision: "bfloat16", chunkSize: 8 })
  expect(finetuneConfig(1600, { ...settings, steps: 2 }, clip, 64)).toMatchObject({
    steps: 2,
    warmupSteps: 1,
    evaluateEvery: 1,
  })
})

test("a run of few steps goes to its end, a longer one ends when its scores stall", () => {
  expect([100, 200, 201, 10_000].map(patienceFor)).toEqual([0, 0, 5, 5])
})

test("small models take larger rates, up to ten times those of large ones", () => {
  for (const name of ["mobileclip2-s4", "mobileclip-s0"] as const) expect(rateFor(variants[name].model)).toBe(3e-5)
  expect(rateFor(variants.quickstart.model)).toBeCloseTo((3e-5 * 50e6) / 7_011_601, 7)
  const { model } = variants.quickstart
  expect(rateFor({ ...model, text: { ...model.text, width: 32 } })).toBeCloseTo(3e-4, 12)
})

test("a captioner learns pairs and captions, CoCa's weights; its decoder takes memory too", () => {
  const captioner = captioners["quickstart-captioner"].model
  const { objective } = finetuneConfig(1600, { seed: 3, device: "cpu" }, captioner)
  expect(objective).toEqual({ kind: "coca", clipWeight: 1, captionWeight: 2 })
  expect(finetuneConfig(1600, { seed: 3, device: "cpu" }, clip, 64).objective).toEqual({ kind: "clip" })
  const logits = 4 * 31 * 49408
  const chunk = chunkSizeFor(captioner, 4 * 32 * logits)
  expect(chunk).toBeLessThanOrEqual(32)
  expect(chunk).toBeGreaterThanOrEqual(8)
})

test("as many pairs at once as fit into a quarter of the memory, halving with the memory", () => {
  const chunk = chunkSizeFor(clip, 64 * 2 ** 30)
  expect(chunk).toBe(2 * chunkSizeFor(clip, 32 * 2 ** 30))
  expect(chunk).toBeGreaterThan(16)
  expect(chunkSizeFor(clip, 1000)).toBe(1)
})

test("weights between start and tuned; the ends are exact", () => {
  const [start, tuned] = [new Map([["w", Float32Array.of(1, 0.1)]]), new Map([["w", Float32Array.of(3, 0.1)]])]
  expect(averaged(start, tuned, 0.25).get("w")).toEqual(Float32Array.of(1.5, 0.1))
  expect(averaged(start, tuned, 1)).toEqual(tuned)
  expect(averaged(start, tuned, 0)).toEqual(start)
  expect(() => averaged(new Map(), tuned, 0.5)).toThrow('start and tuned model differ in "w"')
})

test("the first of the best is taken, and a stall is so many evaluations without a better one", () => {
  expect(bestOf([{ score: 0.5 }, { score: 0.7, first: true }, { score: 0.7 }])).toEqual({ score: 0.7, first: true })
  expect([[0.2], [0.2, 0.3], [0.3, 0.3], [0.4, 0.3]].map(isBest)).toEqual([true, true, false, false])
  expect(isStalled([0.3, 0.3, 0.2], 2)).toBe(true)
  expect(isStalled([0.3, 0.3, 0.4], 2)).toBe(false)
  expect(isStalled([0.3, 0.3], 2)).toBe(false)
  expect(isStalled([0.3, 0.3, 0.2], 0)).toBe(false)
})
