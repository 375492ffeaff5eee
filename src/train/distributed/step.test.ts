import { describe, expect, test } from "vitest"
import { built, reportsOf } from "../../../test/ranks.ts"

/**
 * Three steps of a ViT without batch norm on a batch of 12 pairs, of which a process has its slice; the same text for the
 * ranks and for the one process they are compared with.
 */
const steps = `
  const { buildModel } = await import(${built("src/model/checkpoint/checkpoint.js")})
  const { initialize } = await import(${built("src/model/module.js")})
  const { TorchInterpreter } = await import(${built("src/tensor/torch.js")})
  const { AdamW } = await import(${built("src/train/optimizer/adamw.js")})
  const { trainStep, meanOverRanks } = await import(${built("src/train/step.js")})
  const { sliceBatch } = await import(${built("src/train/encode.js")})
  const { Random } = await import(${built("src/core/arrays/random.js")})
  const text = { kind: "base", width: 16, heads: 2, layers: 2, causal: true, activation: "gelu", contextLength: 8, vocabSize: 64 }
  const image = { kind: "vit", width: 16, heads: 2, layers: 2, patchSize: 8, activation: "gelu" }
  const captioning = CAPTIONING
  const parts = captioning ? { pooler: { queries: 4, heads: 2 }, decoder: { layers: 2, heads: 2 } } : { headBias: false }
  const config = { imageSize: 32, embedDim: 16, image, text, ...parts }
  const random = Random.of(4, "two ranks")
  // Captions of the first pairs are longer than those of the others.
  const endOf = (i) => (i < 5 * 8 ? 6 : 3)
  const ids = () => BigInt64Array.from({ length: 12 * 8 }, (_, i) => (i % 8 < endOf(i) ? BigInt(1 + random.int(60)) : i % 8 === endOf(i) ? 63n : 0n))
  const unit = (width) => {
    const rows = new Float32Array(12 * 2 * width).map(() => random.normal())
    for (let r = 0; r < rows.length; r += width) {
      const norm = Math.hypot(...rows.subarray(r, r + width))
      for (let i = r; i < r + width; i++) rows[i] /= norm
    }
    return rows
  }
  const batch = { images: new Float32Array(12 * 3 * 32 * 32).map(() => random.uniform()), tokens: ids(), ...(!captioning && { synthetic: ids() }) }
  const teacher = { image: unit(6), text: unit(6), synthetic: unit(6), widths: [6, 6] }
  const rank = group?.rank ?? 0
  const own = 12 / (group?.size ?? 1)
  const part = (rows) => rows.subarray((rank * own * rows.length) / 12, ((rank + 1) * own * rows.length) / 12)
  const mine = {
    ...sliceBatch(batch, 12, rank * own, own),
    ...(!captioning && { teacher: { image: part(teacher.image), text: part(teacher.text), synthetic: part(teacher.synthetic), widths: [6, 6] } }),
  }
  const model = buildModel(config)
  initialize(model, 0)
  const interpreter = new TorchInterpreter(model, { training: true, dtype: "float64" })
  const adamW = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.2 }
  const trainable = interpreter.trainable()
  const ranks = group && { group, reducer: group.overlapGradients([...trainable.values()]) }
  const trainer = { model, interpreter, optimizer: new AdamW(trainable, adamW), ranks }
  const objective = captioning ? { kind: "coca", clipWeight: 1, captionWeight: 2 } : { kind: "distill", weights: [0.25, 0.75], scales: [70, 60], averageAfterSoftmax: true }
  const losses = [0, 1, 2].map(() => {
    const measured = trainStep(trainer, mine, { objective, learningRate: 1e-3, gradClipNorm: 1, OPTIONS })
    return (ranks ? meanOverRanks(measured, ranks) : measured).loss
  })
  const values = [...interpreter.hostState()].map(([path, tensor]) => [path, [...tensor]])
  report({ losses, values })`

interface Report {
  readonly losses: readonly number[]
  readonly values: readonly (readonly [string, readonly number[]])[]
}

const programFor = (captioning: boolean, options: string) =>
  steps.replace("CAPTIONING", String(captioning)).replace("OPTIONS", options)

describe("two ranks equal one with twice the batch", () => {
  test.each([
    ["distilled", false, ["", "chunkSize: 4", "chunkSize: 4, activationCheckpointing: true"]],
    [
      "a captioner of captions of any length",
      true,
      ["", "chunkSize: 4", "chunkSize: 4, activationCheckpointing: true"],
    ],
  ] as const)("%s, with chunks and checkpointing too", async (_, captioning, variants) => {
    const [one] = (await reportsOf<Report>(1, programFor(captioning, ""))) as [Report]
    for (const options of variants) {
      const two = await reportsOf<Report>(2, programFor(captioning, options))
      for (const { losses, values } of two) {
        for (const [i, loss] of one.losses.entries()) expect(losses[i]).toBeCloseTo(loss, 10)
        for (const [i, [path, expected]] of one.values.entries()) {
          const error = Math.max(...expected.map((x, j) => Math.abs(x - values[i]![1][j]!)))
          // Adam divides gradients that are zero except for rounding by their own size; everything else is equal to 1e-10.
          expect(error, path).toBeLessThan(1e-6)
        }
      }
    }
  })
})

test("where a loss or gradients overflow on one rank, all ranks leave the step out", async () => {
  const program = programFor(false, "").replace(
    /const losses = [\s\S]*$/,
    `trainer.lossScaler = { scale: 256, goodSteps: 3 }
     const stepConfig = { objective: { kind: "distill", weights: [0.25, 0.75], scales: [70, 60], averageAfterSoftmax: true }, learningRate: 1e-3, gradClipNorm: 1 }
     const values = () => JSON.stringify([...interpreter.hostState()].map(([path, tensor]) => [path, [...tensor]]))
     const before = values()
     const overflowing = { ...mine, images: mine.images.map((x) => (rank === 1 ? Infinity : x)) }
     const { gradNorm } = trainStep(trainer, overflowing, stepConfig)
     const left = { isInfinite: gradNorm === Infinity, isAsBefore: values() === before, scaler: trainer.lossScaler }
     trainStep(trainer, mine, stepConfig)
     report({ left, scaler: trainer.lossScaler, values: values(), isAsBefore: values() === before })`,
  )
  const [first, second] = (await reportsOf<Record<string, unknown>>(2, program)) as [object, object]
  expect(first).toEqual(second)
  expect(first).toMatchObject({
    left: { isInfinite: true, isAsBefore: true, scaler: { scale: 128, goodSteps: 0 } },
    scaler: { scale: 128, goodSteps: 1 },
    isAsBefore: false,
  })
})

test("where the gradient of a range alone overflows on one rank, all ranks leave the step out", async () => {
  const program = programFor(false, "").replace(
    /const losses = [\s\S]*$/,
    `const { RangeAugment } = await import(${built("src/train/range-augment.js")})
     const { computeGradients, updateParameters } = await import(${built("src/train/step.js")})
     const normalization = { mean: [0, 0, 0], std: [1, 1, 1] }
     const rangeAugment = new RangeAugment({ psnr: [40, 20], steps: 3, seed: 0, normalization, adam: adamW })
     const stepConfig = { objective: { kind: "distill", weights: [0.25, 0.75], scales: [70, 60], averageAfterSoftmax: true }, learningRate: 1e-2, gradClipNorm: 1 }
     const ranged = { ...trainer, rangeAugment, lossScaler: { scale: 256, goodSteps: 3 } }
     const values = () => JSON.stringify([rangeAugment.hostState(), [...interpreter.hostState()].map(([path, tensor]) => [path, [...tensor]])])
     const before = values()
     rangeAugment.begin(0, rank)
     const { loss } = computeGradients(ranged, mine, stepConfig)
     if (rank === 1) rangeAugment.gradient[2] = Infinity
     const gradNorm = updateParameters(ranged, stepConfig, loss)
     report({ isInfinite: gradNorm === Infinity, isAsBefore: values() === before, scaler: ranged.lossScaler })`,
  )
  const leftOut = { isInfinite: true, isAsBefore: true, scaler: { scale: 128, goodSteps: 0 } }
  expect(await reportsOf<object>(2, program)).toEqual([leftOut, leftOut])
})

test("ranges that are learned are the same on all ranks: their gradients are means, their pictures each one's own", async () => {
  const program = programFor(false, "").replace(
    /const losses = [\s\S]*$/,
    `const { RangeAugment } = await import(${built("src/train/range-augment.js")})
       const normalization = { mean: [0, 0, 0], std: [1, 1, 1] }
       const rangeAugment = new RangeAugment({ psnr: [40, 20], steps: 3, seed: 0, normalization, adam: adamW })
       const stepConfig = { objective: { kind: "distill", weights: [0.25, 0.75], scales: [70, 60], averageAfterSoftmax: true }, learningRate: 1e-2, gradClipNorm: 1 }
       const augmentation = [0, 1, 2].map((step) => {
         rangeAugment.begin(step, rank)
         return trainStep({ ...trainer, rangeAugment }, mine, stepConfig).losses.augmentation
       })
       report({ own: augmentation, state: rangeAugment.hostState(), values: JSON.stringify([...interpreter.hostState()].map(([path, tensor]) => [path, [...tensor]])) })`,
  )
  interface Learned {
    readonly own: readonly number[]
    readonly state: { readonly ends: readonly number[]; readonly updates: number }
    readonly values: string
  }
  const [first, second] = (await reportsOf<Learned>(2, program)) as [Learned, Learned]
  expect(first.state).toEqual(second.state)
  expect(first.values).toBe(second.values)
  expect(first.state.updates).toBe(3)
  expect(first.own).not.toEqual(second.own)
})
