import { expect, test } from "vitest"
import * as torch from "../../../torch/index.ts"
import { Random } from "../../core/arrays/random.ts"
import { Parameter } from "../../tensor/parameter.ts"
import { TorchInterpreter } from "../../tensor/torch.ts"
import { Ema, emaDecayAt, emaNote, initialShare } from "./ema.ts"

const decay = 0.9995
const steps = 4000

/** Weights of 64 values from -2 to 2, and their average. */
function followed(warmup = false) {
  const random = Random.of(7, "weights")
  const start = Float32Array.from({ length: 64 }, () => 4 * random.uniform() - 2)
  const parameter = new Parameter([64], { kind: "constant", value: 0 })
  parameter.source = () => start
  const interpreter = new TorchInterpreter({ namedParameters: () => new Map([["weight", parameter]]) })
  return {
    interpreter,
    ema: new Ema(interpreter, { decay, warmup }),
    weight: interpreter.value(parameter),
    start,
    random,
  }
}

test("the average of weights that stay is exactly these weights", () => {
  const { ema, start } = followed()
  for (let step = 0; step < steps; step++) ema.update(step)
  expect(ema.hostState().get("weight")).toEqual(start)
})

test("the average of weights that change is that of float64, except for rounding", () => {
  const { ema, weight, start, random } = followed()
  const expected = Float64Array.from(start)
  for (let step = 0; step < steps; step++) {
    const values = start.map((x) => x + 0.1 * random.normal() + step / steps)
    torch.scope(() => torch.noGrad(() => weight.copy_(torch.tensor(values, [64]))))
    for (const [i, x] of values.entries()) expected[i] = decay * expected[i]! + (1 - decay) * x
    ema.update(step)
  }
  const average = ema.hostState().get("weight")!
  const errors = average.map((x, i) => Math.abs(x - expected[i]!))
  // Each update rounds to half a unit in the last place, 1.2e-7 of values up to 4, and 1 / (1 - decay) of them are in it.
  expect(Math.max(...errors)).toBeLessThan(1e-5)
})

test("with a warm-up the share that stays grows to the decay", () => {
  const config = { decay, warmup: true }
  const shares = [0, 1, 8, 90, 17_988, 17_989, 100_000].map((t) => emaDecayAt(t, config))
  // (1 + t) / (10 + t) passes 0.9995 at t = 17,990.
  expect(shares).toEqual([1 / 10, 2 / 11, 9 / 18, 91 / 100, 17_989 / 17_998, 17_990 / 17_999, decay])
  expect(emaDecayAt(0, { decay })).toBe(decay)
})

test("the average follows the ramp: after three updates, of weights 1, 2 and 3", () => {
  const { ema, weight, start } = followed(true)
  for (const [t, value] of [1, 2, 3].entries()) {
    torch.scope(() => torch.noGrad(() => weight.copy_(torch.full([64], value))))
    ema.update(t)
  }
  // 0.1, 2/11 and 3/12 of what was there before stay.
  const share = (1 / 10) * (2 / 11) * (3 / 12)
  const expected = start.map((x) => share * x + 0.9 * (2 / 11) * 0.25 * 1 + (9 / 11) * 0.25 * 2 + 0.75 * 3)
  const errors = ema
    .hostState()
    .get("weight")!
    .map((x, i) => Math.abs(x - expected[i]!))
  expect(Math.max(...errors)).toBeLessThan(1e-6)
})

test("how much of the first weights is left, and said where it is a hundredth and more", () => {
  expect(initialShare(1000, { decay })).toBeCloseTo(0.9995 ** 1000, 12)
  expect(initialShare(1000, { decay })).toBeCloseTo(0.606, 3)
  // The product of (1 + t) / (10 + t) telescopes: 9! / ((n + 1) (n + 2) ... (n + 9)).
  const telescoped = [1, 2, 3, 4, 5, 6, 7, 8, 9].reduce((product, k) => (product * k) / (100 + k), 1)
  expect(initialShare(100, { decay, warmup: true }) / telescoped).toBeCloseTo(1, 10)
  expect(initialShare(20_000, { decay, warmup: true })).toBeLessThan(1e-30)
  expect(emaNote(1000, { decay })).toBe(
    "ema 0.9995 over 1000 steps: 61 % of the average that is saved as the model is still the weights the run begins with; --ema-warmup (ema.warmup=true) lets it begin small, or choose a smaller decay or a longer run",
  )
  expect(emaNote(1000, { decay, warmup: true })).toBeNull()
  expect(emaNote(200_000, { decay })).toBeNull()
})
