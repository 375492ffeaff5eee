import { expect, test } from "vitest"
import { conv2d, manualSeed, noGrad, randn, scope, type Tensor } from "./index.ts"

/** Kernels that `depthwise.cc` takes over, and neighbours that it must leave to libtorch. */
const cases: [
  name: string,
  input: number[],
  weight: number[],
  stride: number | number[],
  padding: number | number[],
][] = [
  ["7x7", [3, 8, 16, 16], [8, 1, 7, 7], 1, 3],
  ["7x7, one list element", [3, 8, 9, 9], [8, 1, 7, 7], [1], [3]],
  ["7x7, stride 2, two filters per channel, odd sizes", [2, 6, 13, 11], [12, 1, 7, 7], 2, 3],
  ["7x7 on a picture smaller than the kernel", [2, 4, 2, 3], [4, 1, 7, 7], 1, 3],
  ["7x7 without padding", [2, 4, 9, 10], [4, 1, 7, 7], 1, 0],
  ["7x7, stride 3", [2, 4, 20, 17], [4, 1, 7, 7], 3, 2],
  ["1x11 over tokens", [2, 8, 1, 77], [8, 1, 1, 11], 1, [0, 5]],
  ["5x5", [1, 3, 8, 9], [3, 1, 5, 5], 1, 2],
  ["3x3, libtorch's own", [2, 8, 8, 8], [8, 1, 3, 3], 1, 1],
  ["7x7 dense, libtorch's own", [2, 4, 8, 8], [5, 4, 7, 7], 1, 3],
]

test.each(cases)("gradients of %s equal those in float64", (_, input, weight, stride, padding) => {
  manualSeed(1)
  scope(() => {
    const [x, w] = [randn(input), randn(weight)]
    const groups = weight[1] === 1 ? input[1]! : 1
    const gradients = (dtype: "float32" | "float64") => {
      const leaves = [x, w].map((t) => t.to({ dtype }).clone().requiresGrad_()) as [Tensor, Tensor]
      const y = conv2d(leaves[0], leaves[1], null, stride, padding, 1, groups)
      y.mul(y.detach().mul(0.5)).sum().backward()
      return leaves.map((leaf) => leaf.grad!)
    }
    const [ours, exact] = [gradients("float32"), gradients("float64")]
    noGrad(() => {
      for (const i of [0, 1]) {
        const error = ours[i]!.to({ dtype: "float64" }).sub(exact[i]!).abs().max().item()
        // Rounding of float32 sums over at most a few thousand terms.
        expect(error / exact[i]!.abs().max().item()).toBeLessThan(2e-6)
      }
    })
  })
})

test("gradients of views and of expanded inputs", () => {
  scope(() => {
    const x = randn([2, 9, 9, 8]).permute([0, 3, 1, 2])
    const w = randn([8, 1, 7, 7]).requiresGrad_()
    conv2d(x, w, null, 1, 3, 1, 8).mean().backward()
    const once = w.grad!.clone()
    w.grad = null
    conv2d(x.contiguous(), w, null, 1, 3, 1, 8).mean().backward()
    expect(noGrad(() => w.grad!.sub(once).abs().max().item())).toBe(0)
  })
})
