/** Gradients of a pass on fixed inputs, as it is recorded for a GPU, against those of an ordinary step. */
import { expect, test } from "vitest"
import { FixedInputs, recordGradients } from "../bench/cuda/recorded-gradients.ts"
import type { Batch } from "../src/data/training/batch.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize } from "../src/model/module.ts"
import { TorchInterpreter } from "../src/tensor/torch.ts"
import type { ObjectiveConfig } from "../src/train/objective.ts"
import { AdamW } from "../src/train/optimizer/adamw.ts"
import { computeGradients, gradientTensors, type Trainer } from "../src/train/step.ts"
import { defaultTrainConfig } from "../src/train/train.ts"
import { scope, trace } from "../torch/index.ts"
import { toyConfig } from "./tiny-model.ts"

const [pairs, widths] = [6, [3, 5]]
const distill: ObjectiveConfig = { kind: "distill", weights: [0.3, 0.7], scales: [70, 60], averageAfterSoftmax: true }
const values = (length: number, seed: number) => Float32Array.from({ length }, (_, i) => Math.sin((seed + 1) * (i + 1)))

/** All texts have full length: a shorter batch is computed to its own longest by an ordinary step, with the same values. */
function batchOf(seed: number): Batch {
  const { contextLength } = toyConfig.text
  const token = (_: unknown, i: number) => BigInt(i % contextLength === contextLength - 1 ? 63 : 1 + ((seed * i) % 60))
  const tokens = () => BigInt64Array.from({ length: pairs * contextLength }, token)
  const rows = (n: number) => values(pairs * 8, seed + n)
  const teacher = { image: rows(1), text: rows(2), synthetic: rows(3), widths }
  return { images: values(pairs * 3 * toyConfig.imageSize ** 2, seed), tokens: tokens(), synthetic: tokens(), teacher }
}

function trainerWith<Interpreter extends TorchInterpreter>(
  make: new (...args: ConstructorParameters<typeof TorchInterpreter>) => Interpreter,
): Trainer & { readonly interpreter: Interpreter } {
  const model = new Clip(toyConfig)
  initialize(model, 5)
  const interpreter = new make(model, { training: true })
  return { model, interpreter, optimizer: new AdamW(interpreter.trainable(), defaultTrainConfig) }
}

const gradientsOf = ({ interpreter }: Trainer) =>
  new Map([...interpreter.trainable()].map(([path, { grad }]) => [path, grad!.data()]))

test.each([undefined, 3])("a recorded pass has an ordinary step's gradients, in chunks of %s", (chunkSize) => {
  const batch = batchOf(7)
  const config = { objective: distill, ...(chunkSize && { chunkSize }) }
  const [usual, fixed] = [trainerWith(TorchInterpreter), trainerWith(FixedInputs)]
  const recorded = recordGradients(fixed, batch, config)
  for (let pass = 0; pass < 2; pass++) {
    const { loss } = computeGradients(usual, batch, config)
    expect(recorded.run()).toBe(loss)
    expect(gradientsOf(fixed)).toEqual(gradientsOf(usual))
  }
  recorded.free()
})

test("refilled inputs are those of the next batch", () => {
  const [batch, next] = [batchOf(7), batchOf(11)]
  const [usual, fixed] = [trainerWith(TorchInterpreter), trainerWith(FixedInputs)]
  const recorded = recordGradients(fixed, batch, { objective: distill })
  recorded.run()
  batch.images.set(next.images)
  for (const name of ["image", "text", "synthetic"] as const) batch.teacher![name]!.set(next.teacher![name]!)
  fixed.interpreter.refill()
  expect(recorded.run()).toBe(
    computeGradients(usual, { ...next, tokens: batch.tokens, synthetic: batch.synthetic! }, { objective: distill })
      .loss,
  )
})

test.each([undefined, 3])("a pass reads no number back from the device, in chunks of %s", (chunkSize) => {
  const trainer = trainerWith(FixedInputs)
  const pass = () => {
    trainer.interpreter.begin()
    scope(() => void gradientTensors(trainer, batchOf(7), { objective: distill, ...(chunkSize && { chunkSize }) }))
  }
  const reads = () => trace(pass).filter(({ path }) => /_local_scalar_dense|nonzero|is_nonzero/.test(path))
  expect(reads()).toEqual([])
  // The same in an ordinary step, to see that such calls would be found.
  const usual = trainerWith(TorchInterpreter)
  const found = trace(() => void computeGradients(usual, batchOf(7), { objective: distill }))
  expect(found.some(({ path }) => path.includes("_local_scalar_dense"))).toBe(true)
})
