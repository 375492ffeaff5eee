import { expect, test } from "vitest"
import { addNorms, batchNorm, call, manualSeed, randn, scope, type Tensor, zeros } from "./index.ts"

const momentum = 0.1
const eps = 1e-5

/** RepMixer's: of a convolution's result; of the input times a factor, as it is, and as it is once more, subtracted. */
const signs = [1, 1, 1, -1] as const
const names = ["x", "convolved", "scale", "factor", ...signs.flatMap((_, k) => [`weight ${k}`, `bias ${k}`])]

function leavesOf(shape: readonly number[], dtype: "float32" | "float64"): Tensor[] {
  manualSeed(1)
  const channels = shape[1]!
  const scale = randn([channels]).mul(0.01) // small, so that eps counts
  const leaves = [randn(shape).add(3), randn(shape), scale, ...Array.from({ length: 9 }, () => randn([channels]))]
  return leaves.map((leaf) => leaf.to({ dtype }).clone().requiresGrad_())
}

function statisticsOf(leaves: readonly Tensor[]): Tensor[] {
  const { shape, dtype } = leaves[0]!
  return Array.from({ length: 8 }, () => zeros([shape[1]!], { dtype }))
}

/** One call. */
function summed(leaves: readonly Tensor[], statistics: readonly Tensor[]): Tensor {
  const [x, convolved, scale, factor] = leaves as [Tensor, Tensor, Tensor, Tensor]
  const terms = signs.map((sign, k) => ({
    ...{ input: k === 0 ? convolved : x, scale: k === 1 ? scale : undefined, sign },
    ...{ weight: leaves[4 + 2 * k]!, bias: leaves[5 + 2 * k]! },
    ...{ runningMean: statistics[2 * k]!, runningVar: statistics[2 * k + 1]! },
  }))
  return addNorms(x, terms, { factor, momentum, eps })
}

/** The same of libtorch's batch norms. */
function composed(leaves: readonly Tensor[], statistics: readonly Tensor[]): Tensor {
  const [x, convolved, scale, factor] = leaves as [Tensor, Tensor, Tensor, Tensor]
  const perChannel = (t: Tensor) => t.reshape([-1, ...x.shape.slice(2).map(() => 1)])
  const norms = signs.map((sign, k) => {
    const input = k === 0 ? convolved : k === 1 ? x.mul(perChannel(scale)) : x
    const [weight, bias] = [leaves[4 + 2 * k]!, leaves[5 + 2 * k]!]
    const [runningMean, runningVar] = [statistics[2 * k]!, statistics[2 * k + 1]!]
    return batchNorm(input, { weight, bias, runningMean, runningVar, training: true, momentum, eps }).mul(sign)
  })
  return x.add(norms.reduce((a, b) => a.add(b)).mul(perChannel(factor)))
}

function everythingOf(form: typeof summed, shape: readonly number[], dtype: "float32" | "float64") {
  const leaves = leavesOf(shape, dtype)
  const statistics = statisticsOf(leaves)
  const y = form(leaves, statistics)
  y.mul(y.detach().add(1)).sum().backward()
  return [y.detach(), ...statistics, ...leaves.map((leaf) => leaf.grad!)]
}

const labels = ["result", ...signs.flatMap((_, k) => [`mean ${k}`, `variance ${k}`]), ...names]

/** Largest difference over largest value, the worst of all results. */
function apart(actual: readonly Tensor[], expected: readonly Tensor[]): [label: string, error: number] {
  const errors = actual.map((x, i): [string, number] => {
    const exact = expected[i]!
    const difference = x.to({ dtype: "float64" }).sub(exact).abs().max().item()
    return [labels[i]!, difference / exact.abs().max().item()]
  })
  return errors.toSorted((a, b) => b[1] - a[1])[0]!
}

const shapes = [
  [3, 5, 4, 4],
  [2, 3, 7, 9],
  [6, 4, 3, 3],
  [5, 2, 1, 77],
  [9, 3, 1, 1],
]

test.each(shapes)(
  "values, statistics and gradients are those of separate norms in float64, [%i, %i, %i, %i]",
  (...shape) => {
    scope(() => {
      const [label, error] = apart(everythingOf(summed, shape, "float64"), everythingOf(composed, shape, "float64"))
      expect(error, label).toBeLessThan(1e-11)
    })
  },
)

test.each(shapes)("and within rounding in float32, [%i, %i, %i, %i]", (...shape) => {
  scope(() => {
    const exact = everythingOf(composed, shape, "float64")
    const [label, error] = apart(everythingOf(summed, shape, "float32"), exact)
    expect(error, label).toBeLessThan(1e-4)
  })
})

test("views and inputs of other strides", () => {
  scope(() => {
    const run = (x: Tensor) => {
      const [weight, bias] = [randn([4]), randn([4])]
      return addNorms(x, [{ input: x, weight, bias, runningMean: null, runningVar: null, sign: 1 }], { momentum, eps })
    }
    const x = randn([2, 5, 3, 4]).permute([0, 3, 1, 2])
    manualSeed(2)
    const strided = run(x)
    manualSeed(2)
    expect(strided.sub(run(x.contiguous())).abs().max().item()).toBe(0)
  })
})

test("no two gradients share memory: scaling all of them in place scales each once", () => {
  scope(() => {
    const leaves = leavesOf([3, 5, 4, 4], "float64")
    summed(leaves, statisticsOf(leaves)).mul(2).sum().backward()
    const before = leaves.map((leaf) => leaf.grad!.clone())
    for (const leaf of leaves) leaf.grad!.mul_(2)
    for (const [i, leaf] of leaves.entries()) expect(leaf.grad!.data(), names[i]).toEqual(before[i]!.mul(2).data())
  })
})

test("what does not fit is refused", () => {
  scope(() => {
    const term = { weight: randn([3]), bias: randn([3]), runningMean: null, runningVar: null, sign: 1 } as const
    const x = randn([2, 4, 5, 5])
    expect(() => addNorms(x, [{ ...term, input: x }], { momentum, eps })).toThrow(
      "a value for each of the input's 4 channels",
    )
    const y = randn([2, 3, 5, 5])
    expect(() => addNorms(x, [{ ...term, input: y }], { momentum, eps })).toThrow("must be of one shape")
    const { weight, bias } = term
    const scaled = (scales: readonly Tensor[], places: readonly number[]) => () =>
      call(
        "mobileclip::norm_sum",
        null,
        y,
        [weight, weight],
        [bias, bias],
        scales,
        places,
        [1, 1],
        null,
        [],
        momentum,
        eps,
      )
    expect(scaled([weight], [0, 0])).toThrow("scale 0 must be that of one norm")
    expect(scaled([weight, weight], [-1, 0])).toThrow("scale 1 must be that of one norm")
  })
})
