import { describe, expect, test } from "vitest"
import { tinyCocaConfig } from "../../test/tiny-coca.ts"
import { toyConfig } from "../../test/tiny-model.ts"
import * as torch from "../../torch/index.ts"
import { Random } from "../core/arrays/random.ts"
import type { ClipConfig, FastViTConfig, ModelConfig } from "../core/family/variants.ts"
import type { Batch } from "../data/training/batch.ts"
import { buildModel } from "../model/checkpoint/checkpoint.ts"
import type { Clip } from "../model/clip.ts"
import { initialize } from "../model/module.ts"
import { hostValues, TorchInterpreter, type TorchOptions } from "../tensor/torch.ts"
import { clipEncoder } from "./encode.ts"
import type { ObjectiveConfig } from "./objective.ts"
import { AdamW } from "./optimizer/adamw.ts"
import { Ema } from "./optimizer/ema.ts"
import { initialLossScale } from "./optimizer/loss-scaler.ts"
import { computeGradients, type StepConfig, type Trainer, trainStep } from "./step.ts"
import { defaultTrainConfig } from "./train.ts"

/** Without batch norm a sample's features do not depend on its chunk. */
const vit: ClipConfig = {
  ...toyConfig,
  image: { kind: "vit", width: 16, heads: 2, layers: 2, patchSize: 8, activation: "gelu" },
  headBias: false,
}

/** Its captions differ enough in length to be packed on libtorch; in chunks of one pair none is. */
const longTexts: ClipConfig = { ...vit, text: { ...vit.text, contextLength: 60 } }

const coca: ModelConfig = { ...tinyCocaConfig, text: { ...tinyCocaConfig.text, contextLength: 8, vocabSize: 64 } }

const fastvitCoca: ModelConfig = { ...coca, image: toyConfig.image as FastViTConfig }

const captioning = { kind: "coca", clipWeight: 1, captionWeight: 2 } as const satisfies ObjectiveConfig
const plain: ObjectiveConfig = { kind: "clip" }
const distill = {
  kind: "distill",
  weights: [0.25, 0.75],
  scales: [70, 60],
  averageAfterSoftmax: true,
} as const satisfies ObjectiveConfig

describe.each([
  ["plain", vit, plain],
  ["reinforced", vit, distill],
  ["captions of many lengths", longTexts, distill],
  ["captioner", coca, captioning],
] as const)("gradient caching, %s", (_, model, objective) => {
  test.each([1, 5, 8, 11])("chunks of %i of 12 pairs give the gradients of the whole", (chunkSize) => {
    const whole = gradients(model, { objective }, "float64")
    const chunked = gradients(model, { objective, chunkSize }, "float64")
    expect(chunked.loss).toBeCloseTo(whole.loss, 12)
    // What is compared is rounded to float32.
    for (const [path, gradient] of whole.gradients) expectClose(chunked.gradients.get(path)!, gradient, 1e-7, path)
  })
})

describe("activation checkpointing", () => {
  test.each([
    ["a ViT", vit, distill],
    ["captions of many lengths", longTexts, distill],
    ["a FastViT", toyConfig, distill],
    ["a captioner", coca, captioning],
    ["a captioner with words drawn", coca, { ...captioning, sampledWords: 20 }],
    ["a captioner of FastViT", fastvitCoca, captioning],
  ] as const)("gives %s the same gradients, and counts batch statistics once", (_, model, objective) => {
    const kept = gradients(model, { objective })
    const repeated = gradients(model, { objective, activationCheckpointing: true })
    expect(repeated.loss).toBe(kept.loss)
    for (const [path, gradient] of kept.gradients) expectClose(repeated.gradients.get(path)!, gradient, 1e-6, path)
    expect(repeated.buffers).toEqual(kept.buffers)
  })

  test.each([
    ["a ViT in bfloat16", vit, distill, "bfloat16", 2e-2],
    ["captions of many lengths in bfloat16", longTexts, distill, "bfloat16", 2e-2],
    ["a captioner", coca, captioning, "float32", 1e-6],
    ["a captioner in bfloat16", coca, captioning, "bfloat16", 2e-2],
  ] as const)("goes with chunks: %s", (_, model, objective, precision, tolerance) => {
    const kept = gradients(model, { objective, precision, chunkSize: 5 })
    const repeated = gradients(model, { objective, precision, chunkSize: 5, activationCheckpointing: true })
    expect(repeated.loss).toBe(kept.loss)
    for (const [path, gradient] of kept.gradients) expectClose(repeated.gradients.get(path)!, gradient, tolerance, path)
  })

  test.each([
    [{ activationCheckpointing: true }, 1],
    [{ chunkSize: 4 }, 3],
    [{ chunkSize: 4, activationCheckpointing: true }, 3],
  ])("a locked tower is encoded once, with %o", (options, times) => {
    let passes = 0
    const batchNorm: typeof torch.batchNorm = (x, norm) => {
      passes += 1
      return torch.batchNorm(x, norm)
    }
    const trainer = trainerOf(toyConfig, { frozen: (path) => path.startsWith("image."), batchNorm })
    const encoder = clipEncoder(trainer.model as Clip, trainer.interpreter)
    torch.scope(() => encoder(batchFor(toyConfig)).features())
    const once = passes
    passes = 0
    computeGradients(trainer, batchFor(toyConfig), { objective: distill, ...options })
    expect(passes).toBe(times * once)
  })

  test("chunks count batch statistics once each", () => {
    const { buffers } = gradients(toyConfig, { objective: plain, chunkSize: 4, activationCheckpointing: true })
    expect(buffers.get("image.stem.0.convKxk.0.bn.numBatchesTracked")).toEqual(Float32Array.of(3))
  })
})

describe("a step", () => {
  test.each([
    ["kept", {}],
    ["repeated", { chunkSize: 5, activationCheckpointing: true }],
  ])("TF32 is off for the loss and its backward pass, on for those of the towers: %s activations", (_, options) => {
    const before = torch.setCudaOptions({ tf32: true })
    const seen: string[] = []
    const note = (what: string) => seen.push(`${what} ${torch.setCudaOptions({}).tf32 ? "rounds" : "exact"}`)
    const trainer = trainerOf(toyConfig, {
      batchNorm(x, norm) {
        note("tower")
        return torch.batchNorm(x, norm)
      },
    })
    // Between the loss and its backward pass.
    trainer.optimizer.zeroGrad = () => {
      note("loss")
      AdamW.prototype.zeroGrad.call(trainer.optimizer)
    }
    // The objective is read while it is computed.
    const objective = {
      ...distill,
      get weights() {
        note("objective")
        return distill.weights
      },
    }
    computeGradients(trainer, batchFor(toyConfig), { objective, ...options })
    expect(torch.setCudaOptions(before).tf32).toBe(true)
    const order = seen.filter((entry, i) => entry !== seen[i - 1])
    const back = "chunkSize" in options ? ["tower rounds"] : []
    expect(order).toEqual(["tower rounds", "objective exact", "loss exact", ...back])
  })

  test("a loss scale changes nothing but the overflow it finds", () => {
    const [unscaled, scaled] = [trainerOf(vit), trainerOf(vit)]
    scaled.lossScaler = { ...initialLossScale, scale: 1024 }
    const config = { ...defaultTrainConfig, objective: distill }
    expect(trainStep(scaled, batchFor(vit), config).gradNorm).toBeCloseTo(
      trainStep(unscaled, batchFor(vit), config).gradNorm,
      5,
    )
    for (const [path, values] of unscaled.interpreter.hostState())
      expectClose(scaled.interpreter.hostState().get(path)!, values, 1e-6, path)
    expect(scaled.lossScaler).toEqual({ scale: 1024, goodSteps: 1 })
  })

  test("gradients that overflow leave the weights and halve the loss scale", () => {
    const trainer = trainerOf(vit)
    trainer.lossScaler = { scale: 1e38, goodSteps: 7 }
    const before = trainer.interpreter.hostState()
    expect(trainStep(trainer, batchFor(vit), { ...defaultTrainConfig, objective: distill }).gradNorm).not.toBeLessThan(
      Number.POSITIVE_INFINITY,
    )
    expect(trainer.interpreter.hostState()).toEqual(before)
    expect(trainer.lossScaler).toEqual({ scale: 5e37, goodSteps: 0 })
  })

  test.each([
    ["batch norm", toyConfig, distill, {}],
    ["chunks", toyConfig, plain, { chunkSize: 5 }],
    ["a captioner", coca, captioning, {}],
  ] as const)(
    "a forward pass that overflows leaves all as it was and halves the loss scale: %s",
    (_, model, objective, options) => {
      const trainer = trainerOf(model)
      const config = { ...defaultTrainConfig, objective, ...options }
      trainer.lossScaler = { scale: 1024, goodSteps: 7 }
      const before = trainer.interpreter.hostState()
      const batch = batchFor(model)
      const overflowing = {
        ...batch,
        images: batch.images.map((value, i) => (i === 0 ? Number.POSITIVE_INFINITY : value)),
      }
      const measured = trainStep(trainer, overflowing, config)
      expect(measured.loss).toBeNaN()
      expect(measured.gradNorm).toBe(Number.POSITIVE_INFINITY)
      expect(trainer.interpreter.hostState()).toEqual(before)
      expect(trainer.optimizer.updates).toBe(0)
      expect(trainer.lossScaler).toEqual({ scale: 512, goodSteps: 0 })

      const fresh = trainerOf(model)
      fresh.lossScaler = { scale: 512, goodSteps: 0 }
      expect(trainStep(trainer, batch, config)).toEqual(trainStep(fresh, batch, config))
      expect(trainer.interpreter.hostState()).toEqual(fresh.interpreter.hostState())
    },
  )

  test("a loss that is not scaled must be finite", () => {
    const batch = batchFor(vit)
    const overflowing = { ...batch, images: batch.images.fill(Number.POSITIVE_INFINITY) }
    const config = { ...defaultTrainConfig, objective: plain }
    expect(() => trainStep(trainerOf(vit), overflowing, config)).toThrow("the loss is NaN")
  })

  test("an overflow at any scale is an error", () => {
    const trainer = trainerOf(vit)
    trainer.lossScaler = initialLossScale
    const batch = batchFor(vit)
    const overflowing = { ...batch, images: batch.images.fill(Number.POSITIVE_INFINITY) }
    const config = { ...defaultTrainConfig, objective: plain }
    let left = 0
    const steps = () => {
      for (; left < 100; left++) trainStep(trainer, overflowing, config)
    }
    expect(steps).toThrow("loss or gradients overflow float16 at any loss scale")
    // From 65536 down to 0.5.
    expect(left).toBe(17)
  })

  test.each([
    ["a ViT", vit, distill],
    ["a captioner", coca, captioning],
    ["a captioner of FastViT", fastvitCoca, captioning],
  ] as const)("bfloat16 is near float32: %s", (_, model, objective) => {
    const config = { ...defaultTrainConfig, objective }
    const full = trainStep(trainerOf(model), batchFor(model), config)
    const half = trainStep(trainerOf(model), batchFor(model), { ...config, precision: "bfloat16" })
    expect(half.loss).not.toBe(full.loss)
    expect(Math.abs(half.loss / full.loss - 1)).toBeLessThan(0.02)
    expect(Math.abs(half.gradNorm / full.gradNorm - 1)).toBeLessThan(0.2)
  })

  test("a locked tower keeps its weights and statistics", () => {
    const trainer = trainerOf(toyConfig, { frozen: (path) => path.startsWith("image.") })
    const before = trainer.interpreter.hostState()
    trainStep(trainer, batchFor(toyConfig), { ...defaultTrainConfig, objective: plain })
    for (const [path, values] of trainer.interpreter.hostState()) {
      if (path.startsWith("image.")) expect(values).toEqual(before.get(path))
      else if (path.startsWith("text.blocks")) expect(values).not.toEqual(before.get(path))
    }
  })

  test("the average follows the weights", () => {
    const trainer = trainerOf(vit)
    const ema = new Ema(trainer.interpreter, { decay: 0.9 })
    const before = trainer.interpreter.hostState()
    trainStep({ ...trainer, ema }, batchFor(vit), { ...defaultTrainConfig, objective: plain })
    const after = trainer.interpreter.hostState()
    for (const [path, values] of ema.hostState()) {
      const expected = values.map((_, i) => 0.9 * before.get(path)![i]! + 0.1 * after.get(path)![i]!)
      expectClose(values, expected, 1e-6, path)
    }
  })

  test("distillation without embeddings in the data is an error", () => {
    const { teacher: _, ...batch } = batchFor(vit)
    expect(() => trainStep(trainerOf(vit), batch, { ...defaultTrainConfig, objective: distill })).toThrow(
      'no teachers\' embeddings, which the loss "distill" needs',
    )
  })
})

function gradients(
  model: ModelConfig,
  config: Pick<StepConfig, "objective" | "chunkSize" | "precision" | "activationCheckpointing">,
  dtype: "float32" | "float64" = "float32",
) {
  const trainer = trainerOf(model, { dtype })
  const { loss } = computeGradients(trainer, batchFor(model), config)
  const { interpreter } = trainer
  const found = [...interpreter.trainable()].map(([path, p]) => [path, hostValues(p.grad!)] as const)
  const buffers = [...interpreter.hostState()].filter(([path]) => /running|Tracked/.test(path))
  return { loss, gradients: new Map(found), buffers: new Map(buffers) }
}

function trainerOf(config: ModelConfig, options: TorchOptions = {}): Trainer {
  torch.setThreads(1)
  const model = buildModel(config)
  initialize(model, 0)
  const interpreter = new TorchInterpreter(model, { training: true, ...options })
  return { model, interpreter, optimizer: new AdamW(interpreter.trainable(), defaultTrainConfig) }
}

/** 12 pairs with synthetic captions and two teachers; the end-of-text id is the largest. */
function batchFor({ imageSize, text: { contextLength, vocabSize } }: ModelConfig): Batch {
  const random = Random.of(3, "batch")
  const captions = () => {
    const ids = new BigInt64Array(12 * contextLength)
    for (let n = 0; n < 12; n++) {
      const length = 2 + random.int(contextLength - 2)
      for (let i = 0; i < length - 1; i++) ids[n * contextLength + i] = BigInt(1 + random.int(vocabSize - 2))
      ids[n * contextLength + length - 1] = BigInt(vocabSize - 1)
    }
    return ids
  }
  const widths = [6, 10]
  return {
    images: Float32Array.from({ length: 12 * 3 * imageSize ** 2 }, () => random.uniform()),
    tokens: captions(),
    synthetic: captions(),
    teacher: {
      image: unitRows(widths, random),
      text: unitRows(widths, random),
      synthetic: unitRows(widths, random),
      widths,
    },
  }
}

function unitRows(widths: readonly number[], random: Random): Float32Array {
  return Float32Array.from(
    Array.from({ length: 12 }, () =>
      widths.flatMap((width) => {
        const values = Array.from({ length: width }, () => random.normal())
        return values.map((x) => x / Math.hypot(...values))
      }),
    ).flat(),
  )
}

/** Relative to the largest value, with a floor for gradients that are zero except for rounding. */
function expectClose(ours: Float32Array, expected: Float32Array, tolerance: number, path: string): void {
  const largest = Math.max(1e-2, ...expected.map(Math.abs))
  const error = expected.reduce((max, x, i) => Math.max(max, Math.abs(x - ours[i]!)), 0)
  expect(error / largest, path).toBeLessThan(tolerance)
}
