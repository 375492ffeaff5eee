import { expect, test } from "vitest"
import { gelu, randn, scope, setThreads, type Tensor, tensor, threads } from "./index.ts"

/** From far below zero to far above, dense around it. */
const points = Float64Array.from({ length: 40_001 }, (_, i) => ((i - 20_000) / 20_000) ** 3 * 40)

function withGradient(form: (x: Tensor) => Tensor, x: Tensor): Tensor[] {
  const leaf = x.clone().requiresGrad_()
  const y = form(leaf)
  y.sum().backward()
  return [y.detach(), leaf.grad!]
}

test.each(["float32", "float64"] as const)("value and gradient equal libtorch's in float64: %s", (dtype) => {
  scope(() => {
    const x = tensor(points, [points.length]).to({ dtype })
    const ours = withGradient(gelu, x)
    const exact = withGradient((y) => y.gelu(), x.to({ dtype: "float64" }))
    for (const [i, value] of ours.entries()) {
      const [actual, expected] = [value.to({ dtype: "float64" }).data(), exact[i]!.data()]
      // A few roundings of values up to 1, or of x itself; libtorch's own float32 is off by as much.
      const unit = dtype === "float32" ? 2 ** -23 : 2 ** -52
      const worst = Math.max(
        ...points.map((x, k) => Math.abs(Number(actual[k]) - Number(expected[k])) / Math.max(1, Math.abs(x))),
      )
      expect(worst).toBeLessThan(2 * unit)
    }
  })
})

test("the values far below zero have their digits", () => {
  scope(() => {
    const x = tensor(Float32Array.of(-4, -6, -8), [3])
    const [y] = withGradient(gelu, x)
    // x * erfc(-x / sqrt(2)) / 2, to ten digits
    const exact = [-1.266849676e-4, -5.919507486e-9, -4.976768659e-15]
    for (const [i, value] of exact.entries()) expect(Number(y!.data()[i]) / value).toBeCloseTo(1, 5)
  })
})

test("the same bits for any number of threads, and at any place", () => {
  const before = threads()
  try {
    scope(() => {
      const x = randn([70_001])
      const [one, two] = [1, 2].map((count) => {
        setThreads(count)
        return withGradient(gelu, x).map((value) => [...value.data()])
      })
      expect(one).toEqual(two)
      const shifted = withGradient(gelu, x.narrow(0, 5, 60_000)).map((value) => [...value.data()])
      expect(shifted).toEqual(one!.map((values) => values.slice(5, 60_005)))
    })
  } finally {
    setThreads(before)
  }
})

test("other dtypes are refused", () => {
  scope(() => expect(() => gelu(randn([4]).to({ dtype: "bfloat16" }))).toThrow("float32 or float64 on the processor"))
})
