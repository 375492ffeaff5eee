import { expect, test } from "vitest"
import { conv2d, depthwiseConv2d, manualSeed, noGrad, randn, scope, setThreads, type Tensor, threads } from "./index.ts"

type Pair = readonly [number, number]

const cases: [name: string, input: number[], weight: number[], stride: number, padding: Pair][] = [
  ["7x7", [3, 8, 16, 16], [8, 1, 7, 7], 1, [3, 3]],
  ["7x7, stride 2, two filters per channel, odd sizes", [2, 6, 13, 11], [12, 1, 7, 7], 2, [3, 3]],
  ["7x7 on a picture smaller than the kernel", [2, 4, 2, 3], [4, 1, 7, 7], 1, [3, 3]],
  ["7x7 without padding", [2, 4, 9, 10], [4, 1, 7, 7], 1, [0, 0]],
  ["7x7, stride 3", [2, 4, 20, 17], [4, 1, 7, 7], 3, [2, 2]],
  ["1x11 over tokens", [2, 8, 1, 77], [8, 1, 1, 11], 1, [0, 5]],
  ["5x5, one picture", [1, 3, 8, 9], [3, 1, 5, 5], 1, [2, 2]],
  ["3x3 with sixteen pictures at once and some over", [43, 8, 8, 8], [8, 1, 3, 3], 1, [1, 1]],
  ["3x3, stride 2, three filters", [17, 4, 9, 8], [12, 1, 3, 3], 2, [1, 1]],
  ["1x1, stride 2", [9, 5, 6, 7], [5, 1, 1, 1], 2, [0, 0]],
  ["4x2, other paddings", [8, 3, 7, 5], [3, 1, 4, 2], 1, [2, 1]],
  ["a map too large for sixteen at once", [16, 1, 150, 131], [1, 1, 3, 3], 2, [1, 1]],
  ["a stride beyond the kernel and the picture", [2, 2, 3, 3], [2, 1, 2, 2], 5, [0, 0]],
]

/** The result, and the gradients of x and w for a gradient that depends on the place. */
function computed(convolve: (x: Tensor, w: Tensor) => Tensor, x: Tensor, w: Tensor): Tensor[] {
  const leaves = [x, w].map((t) => t.clone().requiresGrad_()) as [Tensor, Tensor]
  const y = convolve(...leaves)
  y.mul(y.detach().mul(0.5)).sum().backward()
  return [y.detach(), ...leaves.map((leaf) => leaf.grad!)]
}

test.each(cases)("%s: result and gradients equal libtorch's in float64", (_, input, weight, stride, padding) => {
  manualSeed(1)
  scope(() => {
    const [x, w] = [randn(input), randn(weight)]
    const [x64, w64] = [x, w].map((t) => t.to({ dtype: "float64" })) as [Tensor, Tensor]
    const ours = computed((a, b) => depthwiseConv2d(a, b, stride, padding), x, w)
    const exact = computed((a, b) => conv2d(a, b, null, stride, padding, 1, input[1]!), x64, w64)
    noGrad(() => {
      for (const i of [0, 1, 2]) {
        expect(ours[i]!.shape).toEqual(exact[i]!.shape)
        const error = ours[i]!.to({ dtype: "float64" }).sub(exact[i]!).abs().max().item()
        // Rounding of float32 sums over at most a few thousand terms.
        expect(error / exact[i]!.abs().max().item()).toBeLessThan(2e-6)
      }
    })
  })
})

test("the same bits for any number of threads, for views, and without the input's gradient", () => {
  const before = threads()
  try {
    scope(() => {
      const x = randn([20, 9, 9, 8]).permute([0, 3, 1, 2])
      const w = randn([16, 1, 7, 7])
      const convolve = (a: Tensor, b: Tensor) => depthwiseConv2d(a, b, 2, [3, 3])
      const runs = [1, 2].map((count) => {
        setThreads(count)
        return computed(convolve, count === 1 ? x : x.contiguous(), w).map((t) => [...t.contiguous().data()])
      })
      expect(runs[0]).toEqual(runs[1])
      const leaf = w.clone().requiresGrad_()
      const y = convolve(x, leaf)
      y.mul(y.detach().mul(0.5)).sum().backward()
      expect([...leaf.grad!.data()]).toEqual(runs[0]![2])
    })
  } finally {
    setThreads(before)
  }
})

test("what it cannot convolve is named", () => {
  scope(() => {
    const x = randn([2, 4, 8, 8])
    const refusal = (weight: number[], stride: number, padding: Pair) => () =>
      depthwiseConv2d(x, randn(weight), stride, padding)
    expect(refusal([6, 1, 3, 3], 1, [1, 1])).toThrow("expected an input [N, C, H, W] and a weight [C * M, 1, K, K]")
    expect(refusal([0, 1, 3, 3], 1, [1, 1])).toThrow("a weight [C * M, 1, K, K], got [2, 4, 8, 8] and [0, 1, 3, 3]")
    expect(refusal([4, 1, 3, 3], 0, [1, 1])).toThrow("a positive stride and a padding smaller than the kernel")
    expect(refusal([4, 1, 3, 3], 1, [3, 3])).toThrow("a positive stride and a padding smaller than the kernel")
    expect(refusal([4, 1, 13, 13], 1, [2, 2])).toThrow("the kernel is larger than the padded input")
    // Expanded: a value of memory.
    const large = randn([1, 1, 1, 1]).expand([1, 1, 12000, 12000])
    expect(() => depthwiseConv2d(large, randn([1, 1, 3, 3]), 1, [1, 1])).toThrow("a map of 12000 x 12000 is too large")
    expect(() => depthwiseConv2d(x.to({ dtype: "float64" }), randn([4, 1, 3, 3]), 1, [1, 1])).toThrow("float32")
  })
})
