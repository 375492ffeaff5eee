/** What the interpreter that computes adds to the operations: pieces, and lengths of texts known on the host. */
import { expect, test } from "vitest"
import * as torch from "../../torch/index.ts"
import { UserError } from "../core/errors.ts"
import { Module } from "../model/module.ts"
import { checkDevice, TorchInterpreter } from "./torch.ts"

class Empty extends Module {}

const interpreter = new TorchInterpreter(new Empty())
const values = (tensor: torch.Tensor) => [...(torch.noGrad(() => tensor.detach().data()) as Float32Array)]

test("split gives the pieces in order, and the whole tensor its gradient", () => {
  const whole = torch.tensor([1, 2, 3, 4, 5, 6], [1, 6]).requiresGrad_()
  const pieces = interpreter
    .wrap(whole)
    .split(1, 3)
    .map((piece) => interpreter.unwrap(piece))
  expect(pieces.map(values)).toEqual([
    [1, 2],
    [3, 4],
    [5, 6],
  ])
  pieces[0]!.mul(2).add(pieces[2]!.mul(5)).sum().backward()
  expect(values(whole.grad!)).toEqual([2, 2, 0, 0, 5, 5])
})

test.each(["float32", "float64", "bfloat16"] as const)("attention is the same with a bias of zeros, in %s", (dtype) => {
  torch.scope(() => {
    const wrap = (shape: readonly number[]) =>
      new TorchInterpreter(new Empty(), { dtype }).wrap(torch.randn(shape).to({ dtype }))
    const [q, k, v] = [wrap([2, 5, 24]), wrap([2, 9, 24]), wrap([2, 9, 24])]
    const bias = interpreter.wrap(torch.zeros([2, 9]).to({ dtype }))
    const [plain, biased] = [{}, { bias }].map((given) =>
      interpreter.unwrap(q!.attention(k!, v!, { heads: 3, causal: false, ...given })),
    )
    // Sums of 24 products; a weight that bfloat16 rounds is 0.4 % off at most.
    expect(plain!.sub(biased!).abs().max().item()).toBeLessThan(dtype === "bfloat16" ? 0.02 : 1e-5)
  })
})

test.each([
  [
    "last first EOT",
    [
      [9, 3, 0, 0],
      [1, 2, 9, 0],
    ],
    3,
  ],
  [
    "an EOT that repeats",
    [
      [9, 9, 9, 0],
      [9, 0, 0, 0],
    ],
    1,
  ],
])("texts are cut after the %s, as libtorch would find it", (_, rows, longest) => {
  const ids = interpreter.tokens(BigInt64Array.from(rows.flat(), BigInt), [2, 4])
  expect(ids.trimToLongest().shape).toEqual([2, longest])
  expect(interpreter.wrap(ids.value).trimToLongest().shape).toEqual([2, longest])
})

test("channels-last is not for training on the processor: there pictures stay as they were given", () => {
  const channelStride = (training: boolean) => {
    const given = new TorchInterpreter(new Empty(), { training, channelsLast: true })
    return torch.call("stride.int", given.images(new Float32Array(24), [1, 3, 2, 4]).value, 1)
  }
  expect([channelStride(true), channelStride(false)]).toEqual([8, 1])
})

test("a device that this libtorch has not is an error that lists those it has", () => {
  for (const name of torch.devices()) checkDevice(name)
  const message = 'this libtorch has no device "cp"'
  expect(() => checkDevice("cp")).toThrow(new UserError(message, `it has ${torch.devices().join(", ")}`))
})
