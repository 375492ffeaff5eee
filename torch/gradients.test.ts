import { describe, expect, test } from "vitest"
import { Random } from "../src/core/arrays/random.ts"
import {
  batchNorm,
  conv2d,
  crossEntropy,
  embedding,
  grad,
  layerNorm,
  linear,
  noGrad,
  ones,
  scaledDotProductAttention,
  scope,
  stack,
  type Tensor,
  tensor,
  where,
  zeros,
} from "./index.ts"

const values = (x: Tensor | null) => Array.from(x!.data(), Number)
const double = { dtype: "float64" } as const

/** Fixed values without symmetry, in float64 so that finite differences are exact to about 1e-9. */
function sample(shape: readonly number[], seed = 1): Tensor {
  const random = new Random(seed)
  const size = shape.reduce((product, dim) => product * dim, 1)
  return tensor(
    Float64Array.from({ length: size }, () => random.normal()),
    shape,
  )
}

/** The largest difference between the gradient and central differences of sum(f(x) * weights). */
function gradientError(f: (x: Tensor) => Tensor, shape: readonly number[]): number {
  return scope(() => {
    const x = sample(shape).requiresGrad_()
    const weights = sample(f(x).shape, 2)
    const loss = (point: Tensor) => f(point).mul(weights).sum()
    const [gradient] = grad([loss(x)], [x])
    const step = 1e-5
    const data = x.data() as Float64Array
    const errors = Array.from(gradient!.data() as Float64Array, (exact, i) => {
      const at = (shift: number) =>
        loss(
          tensor(
            data.map((v, j) => (i === j ? v + shift : v)),
            shape,
          ),
        ).item()
      return Math.abs(exact - (at(step) - at(-step)) / (2 * step))
    })
    return Math.max(...errors)
  })
}

describe("gradients equal finite differences", () => {
  const norm = { runningMean: null, runningVar: null, training: true, momentum: 0.1, eps: 1e-5 }
  const heads = (x: Tensor, part: number) => x.narrow(0, part, 1)
  const running = { runningMean: zeros([3], double), runningVar: ones([3], double).mul(2), weight: null, bias: null }

  test.each<[string, (x: Tensor) => Tensor, readonly number[]]>([
    ["mul, exp, sqrt", (x) => x.mul(x).add(1).sqrt().mul(x.exp()), [2, 3]],
    ["div, log, neg, sub", (x) => x.neg().sub(5).abs().log().div(x.mul(x).add(1)), [4]],
    ["gelu, sigmoid, softmax", (x) => x.gelu().mul(x.sigmoid()).softmax(-1), [2, 4]],
    [
      "norm, mean, max",
      (x) =>
        x
          .norm([1], true)
          .mul(x.mean([0], true))
          .add(x.max([1], true)),
      [3, 2],
    ],
    ["matmul, transpose", (x) => x.matmul(x.transpose(-2, -1)), [2, 3, 2]],
    [
      "permute, reshape, narrow, select",
      (x) => x.permute([1, 0, 2]).reshape([3, 4]).narrow(1, 1, 2).select(0, 1),
      [2, 3, 2],
    ],
    ["linear", (x) => linear(x, sample([5, 3]), sample([5])), [2, 3]],
    ["linear weight", (w) => linear(sample([2, 3]), w), [5, 3]],
    ["conv2d", (x) => conv2d(x, sample([4, 1, 3, 3]), sample([4]), 2, [1, 0], 1, 2), [1, 2, 5, 5]],
    ["conv2d weight", (w) => conv2d(sample([2, 2, 4, 4]), w, null, [1, 2], 1), [3, 2, 3, 3]],
    ["layerNorm", (x) => layerNorm(x, [4], sample([4]), sample([4]), 1e-5), [3, 4]],
    ["batchNorm, training", (x) => batchNorm(x, { ...norm, weight: sample([3]), bias: sample([3]) }), [4, 3, 2, 1]],
    ["batchNorm, evaluation", (x) => batchNorm(x, { ...norm, ...running, training: false }), [2, 3, 2, 2]],
    ["attention", (x) => scaledDotProductAttention(heads(x, 0), heads(x, 1), heads(x, 2), { causal: true }), [3, 4, 2]],
    ["embedding", (x) => embedding(x, tensor([2, 0, 2], [3], { dtype: "int64" })), [3, 2]],
    ["crossEntropy", (x) => crossEntropy(x, tensor([1, 0], [2], { dtype: "int64" }), 0.1), [2, 3]],
    ["stack, where", (x) => where(x.eq(0), x, stack([x, x.mul(x)]).sum([0])), [3]],
  ])("%s", (_, f, shape) => {
    expect(gradientError(f, shape)).toBeLessThan(1e-7)
  })
})

describe("backward", () => {
  test("adds to grad, which can be read, replaced and cleared", () => {
    const x = tensor([1, 2], [2], { requiresGrad: true })
    x.mul(x).sum().backward()
    x.mul(3).backward(tensor([1, 10], [2]))
    expect(values(x.grad)).toEqual([5, 34])
    x.grad = tensor([7, 8], [2])
    expect(values(x.grad)).toEqual([7, 8])
    x.grad = null
    expect(x.grad).toBeNull()
  })

  test("grad leaves the leaves alone", () => {
    const x = tensor([3], [1], { requiresGrad: true })
    const [gradient] = grad([x.mul(x)], [x], [tensor([2], [1])])
    expect(values(gradient!)).toEqual([12])
    expect(x.grad).toBeNull()
  })

  test("the graph survives the JavaScript objects of its inner tensors", () => {
    const x = tensor([2], [1], { requiresGrad: true })
    const loss = scope(() => x.mul(x).mul(x).sum())
    loss.backward()
    expect(values(x.grad)).toEqual([12])
  })

  test("requiresGrad and detach", () => {
    const x = tensor([1], [1])
    expect(x.requiresGrad).toBe(false)
    expect(x.requiresGrad_().mul(2).requiresGrad).toBe(true)
    expect(x.mul(2).detach().requiresGrad).toBe(false)
    expect(x.requiresGrad_(false).mul(2).requiresGrad).toBe(false)
  })

  test.each<[string, () => unknown, string]>([
    ["without a graph", () => tensor([1], [1]).backward(), "does not require grad"],
    ["of more than one value", () => ones([2]).requiresGrad_().mul(1).backward(), "scalar outputs"],
    [
      "with a gradient of another shape",
      () =>
        ones([2])
          .requiresGrad_()
          .mul(1)
          .backward(ones([3])),
      "shape",
    ],
    ["of integers", () => tensor([1], [1], { dtype: "int64" }).requiresGrad_(), "floating point"],
    ["into a grad of another shape", () => { ones([2]).grad = ones([3]) }, "expected float32[2], got float32[3]"], // biome-ignore format: one line
    ["twice through one graph", () => twice(), "second time"],
    [
      "of an unused input",
      () => grad([ones([1]).requiresGrad_().mul(1)], [ones([1]).requiresGrad_()]),
      "not have been used",
    ],
    ["of a leaf changed in place", () => ones([1]).requiresGrad_().add_(1), "aten::add_.Scalar: a leaf Variable"],
  ])("%s is an error", (_, run, message) => {
    expect(run).toThrow(message)
  })

  function twice(): void {
    const loss = ones([1]).requiresGrad_().exp().sum()
    loss.backward()
    loss.backward()
  }

  test("a parameter can be changed in place under noGrad", () => {
    const x = tensor([1], [1], { requiresGrad: true })
    noGrad(() => x.add_(1))
    expect([x.item(), x.requiresGrad]).toEqual([2, true])
  })
})

describe("layers", () => {
  test("batchNorm updates running statistics with the unbiased variance", () => {
    const norm = { weight: null, bias: null, runningMean: zeros([1]), runningVar: ones([1]) }
    const y = batchNorm(tensor([1, 3], [2, 1]), { ...norm, training: true, momentum: 0.1, eps: 0 })
    expect(values(y)).toEqual([-1, 1])
    expect(norm.runningMean.item()).toBeCloseTo(0.2, 6)
    expect(norm.runningVar.item()).toBeCloseTo(0.9 + 0.1 * 2, 6)
  })

  test("attention: causal, and masks of both kinds", () => {
    const [query, key, value] = [sample([1, 2, 3]), sample([1, 2, 3], 2), sample([1, 2, 3], 3)]
    const causal = values(scaledDotProductAttention(query, key, value, { causal: true }))
    const boolean = tensor([1, 0, 1, 1], [2, 2], { dtype: "bool" })
    const additive = tensor([0, Number.NEGATIVE_INFINITY, 0, 0], [2, 2], double)
    const close = (mask: Tensor) => {
      const masked = values(scaledDotProductAttention(query, key, value, { mask }))
      for (const [i, v] of masked.entries()) expect(v).toBeCloseTo(causal[i]!, 12)
    }
    close(boolean)
    close(additive)
    expect(causal.slice(0, 3)).toEqual(values(value).slice(0, 3))
  })

  test("crossEntropy of equal logits is the log of their number", () => {
    expect(crossEntropy(zeros([2, 8]), tensor([3, 5], [2], { dtype: "int64" })).item()).toBeCloseTo(Math.log(8), 6)
  })

  test("crossEntropy refuses a target out of range", () => {
    expect(() => crossEntropy(zeros([1, 3]), tensor([3], [1], { dtype: "int64" }))).toThrow("cross_entropy_loss")
  })

  test("embedding refuses an index out of range", () => {
    expect(() => embedding(zeros([3, 2]), tensor([3], [1], { dtype: "int64" }))).toThrow("aten::embedding")
  })
})
