import { expect, test } from "vitest"
import * as torch from "../../../torch/index.ts"
import { Random } from "../../core/arrays/random.ts"
import { Parameter } from "../../tensor/parameter.ts"
import { TorchInterpreter } from "../../tensor/torch.ts"
import { Ema } from "./ema.ts"

const decay = 0.9995
const steps = 4000

/** Weights of 64 values from -2 to 2, and their average. */
function followed() {
  const random = Random.of(7, "weights")
  const start = Float32Array.from({ length: 64 }, () => 4 * random.uniform() - 2)
  const parameter = new Parameter([64], { kind: "constant", value: 0 })
  parameter.source = () => start
  const interpreter = new TorchInterpreter({ namedParameters: () => new Map([["weight", parameter]]) })
  return { interpreter, ema: new Ema(interpreter, decay), weight: interpreter.value(parameter), start, random }
}

test("the average of weights that stay is exactly these weights", () => {
  const { ema, start } = followed()
  for (let step = 0; step < steps; step++) ema.update()
  expect(ema.hostState().get("weight")).toEqual(start)
})

test("the average of weights that change is that of float64, except for rounding", () => {
  const { ema, weight, start, random } = followed()
  const expected = Float64Array.from(start)
  for (let step = 0; step < steps; step++) {
    const values = start.map((x) => x + 0.1 * random.normal() + step / steps)
    torch.scope(() => torch.noGrad(() => weight.copy_(torch.tensor(values, [64]))))
    for (const [i, x] of values.entries()) expected[i] = decay * expected[i]! + (1 - decay) * x
    ema.update()
  }
  const average = ema.hostState().get("weight")!
  const errors = average.map((x, i) => Math.abs(x - expected[i]!))
  // Each update rounds to half a unit in the last place, 1.2e-7 of values up to 4, and 1 / (1 - decay) of them are in it.
  expect(Math.max(...errors)).toBeLessThan(1e-5)
})
