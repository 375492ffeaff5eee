import { describe, expect, test } from "vitest"
import { tinyInfo, toyConfig } from "../../test/tiny-model.ts"
import * as torch from "../../torch/index.ts"
import { Random } from "../core/arrays/random.ts"
import { bytesAsSource, SafetensorsFile } from "../core/containers/safetensors.ts"
import type { ClipConfig } from "../core/family/variants.ts"
import type { Batch } from "../data/training/batch.ts"
import { buildModel } from "../model/checkpoint/checkpoint.ts"
import { initialize } from "../model/module.ts"
import { hostValues, TorchInterpreter } from "../tensor/torch.ts"
import { readTrainingState, type TrainingState, trainingStateChunks } from "./checkpoints/state.ts"
import { AdamW } from "./optimizer/adamw.ts"
import { type Change, changed, drawChanges, RangeAugment, type RangeAugmentConfig, type RangeState, targetError } from "./range-augment.ts" // biome-ignore format: one line
import { computeGradients, type StepConfig, type Trainer, updateParameters } from "./step.ts"
import { defaultTrainConfig, type TrainConfig, train } from "./train.ts"

const unit = { mean: [0, 0, 0], std: [1, 1, 1] }
const adam = { beta1: 0.9, beta2: 0.95, eps: 1e-8 }
const config: RangeAugmentConfig = { psnr: [40, 20], steps: 100, seed: 0, normalization: unit, adam }

const double = { dtype: "float64" } as const

/** Pictures of 2 x 2: a dark one, a light one. */
const pictures = () =>
  torch.tensor(
    [...[0.1, 0.2, 0.3, 0.4], ...[0.1, 0.1, 0.1, 0.1], ...[0, 0.2, 0, 0.2], ...new Array(12).fill(0.6)],
    [2, 3, 2, 2],
    double,
  )

const change = (kind: Change["kind"], chosen: readonly boolean[], positions: readonly number[]): Change => ({
  ...{ kind, chosen, positions, seed: 5 },
})

/** Low and high of brightness, contrast, noise. */
const limits = () => torch.tensor([0.5, 1.5, 0.25, 2.25, 0, 0.1], [6], double)

const valuesOf = (tensor: torch.Tensor) => [...(tensor.data() as Float64Array)]

describe("changes of pictures, by hand", () => {
  test("brightness multiplies, and what was not chosen stays exactly", () => {
    const made = valuesOf(changed(pictures(), limits(), [change("brightness", [true, false], [0.25, 0.9])]))
    // 0.5 + 0.25 * (1.5 - 0.5) = 0.75
    expect(made.slice(0, 4)).toEqual([0.1 * 0.75, 0.2 * 0.75, 0.3 * 0.75, 0.4 * 0.75])
    expect(made.slice(12)).toEqual(new Array(12).fill(0.6))
  })

  test("contrast moves away from the mean of each channel; the end is cut to 0..1", () => {
    const made = valuesOf(changed(pictures(), limits(), [change("contrast", [true, false], [1, 0])]))
    // Mean 0.25, strength 2.25: 0.25 * (1 - 2.25) + x * 2.25.
    const expected = [-0.0875, 0.1375, 0.3625, 0.5875].map((x) => Math.max(0, x))
    for (const [i, x] of expected.entries()) expect(made[i]).toBeCloseTo(x, 12)
    for (const x of made.slice(4, 8)) expect(x).toBeCloseTo(0.1, 12)
  })

  test("noise is normal, times its strength, of the seed it is given", () => {
    const made = valuesOf(changed(pictures(), limits(), [change("noise", [false, true], [0, 0.5])]))
    torch.manualSeed(5)
    const noise = valuesOf(torch.randn([2, 3, 2, 2], double)).slice(12)
    for (const [i, x] of noise.entries()) expect(made[12 + i]).toBeCloseTo(0.6 + 0.05 * x, 12)
    expect(made.slice(0, 12)).toEqual(valuesOf(pictures()).slice(0, 12))
  })

  test("one after the other, in their order", () => {
    const both = [change("brightness", [false, true], [0, 1]), change("noise", [false, true], [0, 0])]
    // 0.6 * 1.5, and noise of strength 0.
    for (const x of valuesOf(changed(pictures(), limits(), both)).slice(12)) expect(x).toBeCloseTo(0.9, 12)
  })
})

test("each changes half of the pictures, one at least, in any order", () => {
  const orders = new Set<string>()
  for (let i = 0; i < 60; i++) {
    const changes = drawChanges(7, Random.of(i, "changes"))
    orders.add(changes.map(({ kind }) => kind).join())
    for (const { chosen } of changes) expect(chosen.filter(Boolean)).toHaveLength(3)
  }
  expect(orders.size).toBe(6)
  expect(drawChanges(1, Random.of(0, "one")).map(({ chosen }) => chosen)).toEqual([[true], [true], [true]])
})

test("the ranges begin as corenet's, and the target goes from 40 to 20 decibels on a cosine", () => {
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
  const strong = [0.1 + 0.8 * sigmoid(0.5), 1.1 + 8.9 * sigmoid(1.5)]
  const expected = [...strong, ...strong, 0.000025, 0.0001 + 0.9999 * sigmoid(0.1)]
  for (const [i, limit] of new RangeAugment(config).limits.entries()) expect(limit).toBeCloseTo(expected[i]!, 12)
  // 65025 / 10^4 and 65025 / 10^2; halfway the mean of both.
  expect(targetError(0, config)).toBeCloseTo(6.5025, 10)
  expect(targetError(50.5, config)).toBeCloseTo((6.5025 + 650.25) / 2, 10)
  expect(targetError(101, config)).toBeCloseTo(650.25, 10)
})

const vit: ClipConfig = {
  ...toyConfig,
  image: { kind: "vit", width: 16, heads: 2, layers: 2, patchSize: 8, activation: "gelu" },
  headBias: false,
}

const normalization = { mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.25] }

/** 12 pairs, pictures normalised. */
function batch(step = 0): Batch {
  const random = Random.of(step, "pairs")
  const { mean, std } = normalization
  const channel = (i: number) => Math.floor(i / 32 ** 2) % 3
  const value = (i: number) => (random.uniform() - mean[channel(i)]!) / std[channel(i)]!
  return {
    images: Float32Array.from({ length: 12 * 3 * 32 * 32 }, (_, i) => value(i)),
    tokens: BigInt64Array.from({ length: 12 * 8 }, (_, i) => (i % 8 === 6 ? 63n : BigInt(1 + random.int(60)))),
  }
}

function studentOf(state: RangeState | undefined) {
  torch.setThreads(1)
  const model = buildModel(vit)
  initialize(model, 0)
  const interpreter = new TorchInterpreter(model, { training: true, dtype: "float64" })
  const rangeAugment = new RangeAugment({ ...config, normalization }, state)
  rangeAugment.begin(3)
  return { model, interpreter, optimizer: new AdamW(interpreter.trainable(), defaultTrainConfig), rangeAugment }
}

/** The loss and the gradients of the six ends, from their moments after an update. */
function step(state: RangeState | undefined, options: Partial<StepConfig> = {}) {
  const trainer = studentOf(state)
  const { interpreter, rangeAugment } = trainer
  const measured = computeGradients(trainer, batch(), { objective: { kind: "clip" }, ...options })
  const weights = [...interpreter.trainable()].map(([path, p]) => [path, hostValues(p.grad!)] as const)
  updateParameters(trainer, { learningRate: 0.01, gradClipNorm: 1 }, measured.loss)
  const after = rangeAugment.hostState()
  return { ...measured, after, weights, gradient: after.first.map((m) => m / (1 - adam.beta1)) }
}

describe("gradients of the ranges alone that overflow", () => {
  /** The student's own gradients and the loss are finite. */
  function overflown() {
    const trainer = studentOf(undefined)
    computeGradients(trainer, batch(), { objective: { kind: "clip" } })
    const pixels = torch.tensor([...batch().images], [12, 3, 32, 32], double)
    torch.scope(() => trainer.rangeAugment.augment(pixels, 0, 12, false).backward(Number.POSITIVE_INFINITY))
    return trainer
  }
  const stateOf = ({ interpreter, rangeAugment }: ReturnType<typeof studentOf>) =>
    structuredClone({ weights: interpreter.hostState(), ranges: rangeAugment.hostState() })
  const options = { learningRate: 0.01, gradClipNorm: 1 }

  test("leave a float16 step out and halve the loss scale", () => {
    const trainer: Trainer & ReturnType<typeof studentOf> = {
      ...overflown(),
      lossScaler: { scale: 1024, goodSteps: 7 },
    }
    const before = stateOf(trainer)
    expect(updateParameters(trainer, options, 1)).toBe(Number.POSITIVE_INFINITY)
    expect(stateOf(trainer)).toEqual(before)
    expect(trainer.lossScaler).toEqual({ scale: 512, goodSteps: 0 })
    trainer.rangeAugment.begin(4)
    computeGradients(trainer, batch(), { objective: { kind: "clip" } })
    expect(updateParameters(trainer, options, 1)).toBeLessThan(Number.POSITIVE_INFINITY)
    expect(trainer.rangeAugment.limits.every(Number.isFinite)).toBe(true)
    expect(trainer.rangeAugment.hostState().updates).toBe(1)
  })

  test("are an error in any other, before a parameter is changed", () => {
    const trainer = overflown()
    const before = stateOf(trainer)
    expect(() => updateParameters(trainer, options)).toThrow("the gradients of the augmentation's ranges are NaN")
    expect(stateOf(trainer)).toEqual(before)
  })
})

describe("a step of a student", () => {
  const start = new RangeAugment(config).hostState()

  test.each([{}, { chunkSize: 5 }, { activationCheckpointing: true }, { chunkSize: 5, activationCheckpointing: true }])(
    "%o: the ends' gradients are those of the whole loss, the student's part included",
    (options) => {
      const { gradient, losses } = step(undefined, options)
      expect(Object.keys(losses)).toEqual(["contrastive", "augmentation"])
      for (const i of start.ends.keys()) {
        const loss = (by: number) =>
          step({ ...start, ends: start.ends.map((end, j) => (j === i ? end + by : end)) }, options).loss
        const difference = (loss(1e-4) - loss(-1e-4)) / 2e-4
        // The ends are moved in float64; gradients are read as float32.
        expect(Math.abs(gradient[i]! - difference)).toBeLessThan(1e-4 * Math.max(Math.abs(difference), 1e-3))
      }
    },
    60_000,
  )

  test("the student's part is not nothing: without its gradient another number comes out", () => {
    const { gradient } = step(undefined)
    torch.setThreads(1)
    const alone = new RangeAugment({ ...config, normalization })
    alone.begin(3)
    torch.scope(() => {
      const pixels = torch.tensor(batch().images, [12, 3, 32, 32], double)
      alone.augment(pixels, 0, 12, false).backward(1)
    })
    alone.update(0.01)
    const own = alone.hostState().first.map((m) => m / (1 - adam.beta1))
    expect(Math.max(...own.map((x, i) => Math.abs(x - gradient[i]!)))).toBeGreaterThan(1e-4)
  })

  test("activation checkpointing changes nothing", () => {
    const [plain, repeated] = [step(undefined), step(undefined, { activationCheckpointing: true })]
    expect(repeated.after).toEqual(plain.after)
    expect(repeated.weights).toEqual(plain.weights)
  })

  test("AdamW's first step moves each end by the learning rate, against its gradient", () => {
    const { after, gradient } = step(undefined)
    // Epsilon counts where a gradient is tiny, as of the lower end of the noise.
    for (const [i, end] of after.ends.entries())
      expect(end).toBeCloseTo(start.ends[i]! - 0.01 * Math.sign(gradient[i]!), 4)
    expect(after.updates).toBe(1)
  })
})

test("the ranges learn to change pictures by what the target says", () => {
  torch.setThreads(1)
  const still = new RangeAugment({ ...config, psnr: [30, 30], seed: 2 })
  const random = Random.of(1, "pictures")
  const values = Float32Array.from({ length: 32 * 3 * 8 * 8 }, () => random.uniform())
  const losses = Array.from({ length: 400 }, (_, i) => {
    still.begin(i)
    const loss = torch.scope(() => still.augment(torch.tensor(values, [32, 3, 8, 8]), 0, 32, false).backward(1))
    still.update(0.05)
    return loss
  })
  const mean = (part: readonly number[]) => part.reduce((sum, loss) => sum + loss, 0) / part.length
  // From a mean squared error in the thousands to one of about 65, which single pictures miss.
  expect(mean(losses.slice(0, 10))).toBeGreaterThan(5)
  expect(mean(losses.slice(-50))).toBeLessThan(0.3)
})

describe("a run", () => {
  const info = { ...tinyInfo, config: toyConfig, preprocessing: { ...tinyInfo.preprocessing, size: 32 } }
  const shortRun: TrainConfig = {
    ...defaultTrainConfig,
    ...{ steps: 6, warmupSteps: 1, batchSize: 12, threads: 2, rangeAugment: [40, 20] },
  }

  async function run(options: { readonly stopAfter?: number; readonly resume?: TrainingState } = {}) {
    const losses: number[] = []
    const stop = new AbortController()
    const { resume } = options
    const final = await train(info, shortRun, {
      *batches(first) {
        for (let i = first; ; i++) yield batch(i)
      },
      save() {},
      resume: resume && (() => resume),
      signal: stop.signal,
      onStep({ step, loss }) {
        losses.push(loss)
        if (step === options.stopAfter) stop.abort()
      },
    })
    return { final, losses }
  }

  test("repeats bit for bit, and goes on through a file as if it had not been stopped", async () => {
    const [whole, again] = [await run(), await run()]
    expect(again).toEqual(whole)
    const stopped = await run({ stopAfter: 3 })
    const rest = await run({ resume: throughFile(stopped.final) })
    expect([...stopped.losses, ...rest.losses]).toEqual(whole.losses)
    expect(rest.final.rangeAugment).toEqual(whole.final.rangeAugment)
    expect(rest.final.tensors).toEqual(whole.final.tensors)
    expect(whole.final.rangeAugment!.updates).toBe(6)
    expect(whole.final.settings.rangeAugment).toBe("[40,20]")
  })
})

function throughFile(state: TrainingState): TrainingState {
  const bytes = Buffer.concat([...trainingStateChunks(state)].map((chunk) => Uint8Array.from(chunk)))
  return readTrainingState(new SafetensorsFile(bytesAsSource("state.safetensors", bytes)), "state.safetensors")
}
