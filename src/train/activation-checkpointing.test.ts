import { expect, test } from "vitest"
import * as torch from "../../torch/index.ts"
import type { Parameter } from "../tensor/parameter.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { checkpointed, type Step } from "./activation-checkpointing.ts"

const interpreter = new TorchInterpreter({ namedParameters: () => new Map<string, Parameter>() })
const values = (tensor: torch.Tensor | undefined | null) => (tensor ? Array.from(tensor.data(), Number) : undefined)
const leaf = (numbers: readonly number[]) =>
  torch.tensor(Float32Array.from(numbers), [numbers.length], { requiresGrad: true })

/** Every step reads both tensors, and returns the second one unchanged. */
const product: Step = ([x, y]) => [x!.mul(y!), y!]

test("tensors that several steps read get the right gradients", () => {
  const [x, y] = [leaf([2, 3]), leaf([5, 7])]
  const { outputs, backward } = checkpointed(interpreter, [product, product, product], [x, y], true)
  // x y^3, and y again
  expect(values(outputs[0])).toEqual([250, 1029])
  const [ofX, ofY] = backward([torch.ones([2]), torch.full([2], 10)])
  expect(values(ofX)).toEqual([125, 343])
  expect(values(ofY)).toEqual([3 * 2 * 25 + 10, 3 * 3 * 49 + 10])
})

test("without gradients of the inputs, only the parameters get gradients", () => {
  const weight = leaf([3])
  const { backward } = checkpointed(interpreter, [([x]) => [x!.mul(weight)], ([x]) => [x!.mul(2)]], [torch.ones([1])])
  expect(backward([torch.ones([1])])).toEqual([undefined])
  expect(values(weight.grad)).toEqual([2])
})

test("the backward pass frees what the steps above kept", () => {
  const bytes: number[] = []
  const step: Step = ([x]) => {
    bytes.push(torch.memory().liveBytes)
    return [x!.mul(0.5)]
  }
  torch.scope(() => {
    const { backward } = checkpointed(
      interpreter,
      Array.from({ length: 10 }, () => step),
      [torch.rand([1000])],
      true,
    )
    backward([torch.ones([1000])])
  })
  const [forward, back] = [bytes.slice(0, 10), bytes.slice(10)]
  for (let i = 1; i < 10; i++) expect(forward[i]! - forward[i - 1]!).toBe(4000)
  // A step's own input and gradient are freed with it. The last step has neither a step above nor its gradient.
  for (let i = 2; i < 10; i++) expect(back[i]! - back[i - 1]!).toBe(-4000)
})

test("running statistics are not counted again, and tracking is as before afterwards", () => {
  const seen: boolean[] = []
  const step: Step = ([x]) => {
    seen.push(interpreter.trackStatistics)
    return [x!.mul(2)]
  }
  const { backward } = checkpointed(interpreter, [step], [torch.ones([1])], true)
  interpreter.trackStatistics = false
  backward([torch.ones([1])])
  expect([...seen, interpreter.trackStatistics]).toEqual([true, false, false])
  interpreter.trackStatistics = true
})
