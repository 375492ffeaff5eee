import { describe, expect, test } from "vitest"
import {
  attention,
  grad,
  manualSeed,
  randn,
  scaledDotProductAttention,
  scope,
  selfAttention,
  setThreads,
  type Tensor,
  tensor,
  threads,
} from "./index.ts"

interface Case {
  readonly batch: number
  readonly queries: number
  readonly keys: number
  readonly heads: number
  /** Values of a head. */
  readonly width: number
  readonly causal: boolean
}

type DType = "float32" | "float64"
type Form = (q: Tensor, k: Tensor, v: Tensor, heads: number, causal: boolean) => Tensor

/** [N, L, D] -> [N, heads, L, D/heads] */
function split(x: Tensor, heads: number): Tensor {
  const [batch, length, width] = x.shape as readonly [number, number, number]
  return x.reshape([batch, length, heads, width / heads]).permute([0, 2, 1, 3])
}

const composed: Form = (q, k, v, heads, causal) =>
  scaledDotProductAttention(split(q, heads), split(k, heads), split(v, heads), { causal })
    .permute([0, 2, 1, 3])
    .reshape([...q.shape])

function leavesOf({ batch, queries, keys, heads, width }: Case, dtype: DType, seed = 1): Tensor[] {
  manualSeed(seed)
  // Scores spread over several units, as those of trained models.
  return [queries, keys, keys].map((length) =>
    randn([batch, length, heads * width])
      .mul(1.5)
      .to({ dtype })
      .clone()
      .requiresGrad_(),
  )
}

/** The result and the three gradients. */
function everythingOf(form: Form, wanted: Case, dtype: DType, seed = 1): Tensor[] {
  const leaves = leavesOf(wanted, dtype, seed) as [Tensor, Tensor, Tensor]
  const y = form(...leaves, wanted.heads, wanted.causal)
  y.mul(y.detach().add(1)).sum().backward()
  return [y.detach(), ...leaves.map((leaf) => leaf.grad!)]
}

/**
 * Largest difference over largest value, the worst of all results. A query that sees one key has a gradient of zero, of which
 * libtorch 2.13 leaves the roundings of sums of some tens.
 */
function apart(actual: readonly Tensor[], expected: readonly Tensor[]): number {
  const errors = actual.map((x, i) => {
    const difference = x.to({ dtype: "float64" }).sub(expected[i]!).abs().max().item()
    const largest = expected[i]!.abs().max().item()
    return difference / (largest > 1e-9 ? largest : 10)
  })
  return Math.max(...errors)
}

/** Root mean square over several draws of what float32 errs, of the result and of each gradient, in relation to its values. */
function roundingsOf(form: Form, wanted: Case): number[] {
  const seeds = [1, 2, 3, 4, 5, 6, 7, 8]
  const squares = seeds.map((seed) =>
    scope(() => {
      const exact = everythingOf(composed, wanted, "float64", seed)
      return everythingOf(form, wanted, "float32", seed).map((x, i) => {
        const meanSquare = (y: Tensor) => y.mul(y).mean().item()
        const error = meanSquare(x.to({ dtype: "float64" }).sub(exact[i]!))
        return error / Math.max(meanSquare(exact[i]!), 1e-12)
      })
    }),
  )
  return squares[0]!.map((_, i) => Math.sqrt(squares.reduce((sum, draw) => sum + draw[i]!, 0) / seeds.length))
}

const shapes: readonly (readonly [batch: number, queries: number, keys: number, heads: number, width: number])[] = [
  [3, 1, 1, 1, 8],
  [2, 2, 2, 3, 16],
  [4, 14, 14, 4, 32],
  [2, 77, 77, 2, 64],
  [1, 197, 197, 2, 64],
  [2, 16, 16, 2, 32],
  [2, 17, 17, 3, 24],
  [1, 49, 49, 2, 80],
  [2, 33, 33, 1, 9],
  [1, 101, 101, 1, 72],
  [2, 5, 19, 2, 40],
  [2, 1, 256, 2, 64],
  [1, 60, 7, 3, 48],
]
const cases = shapes.flatMap(([batch, queries, keys, heads, width]) =>
  [false, true].map((causal): Case => ({ batch, queries, keys, heads, width, causal })),
)
const label = "$queries queries, $keys keys, $heads heads of $width, causal: $causal"

describe("attention", () => {
  test.each(cases)(`values and gradients in float64 are those of separate products: ${label}`, (wanted) => {
    scope(() => {
      // Sums of at most 256 products in another order: some tens of roundings of 1e-16.
      const [ours, theirs] = [attention, composed].map((form) => everythingOf(form, wanted, "float64"))
      expect(apart(ours!, theirs!)).toBeLessThan(1e-14)
    })
  })

  test.each(cases)(`float32 is as near to float64 as separate products are: ${label}`, (wanted) => {
    const [ours, theirs] = [attention, composed].map((form) => roundingsOf(form, wanted))
    for (const [i, error] of ours!.entries()) {
      // The order of the sums differs from processor to processor, and with it the error by up to a half.
      expect(error).toBeLessThanOrEqual(2 * theirs![i]!)
      // One rounding of float32 is 6e-8; scores of some tens make e^score wrong by some tens of those.
      expect(error).toBeLessThan(1e-5)
    }
  })

  test("of one matrix of queries, keys and values: the bits of three, and a gradient in another order changes none", () => {
    scope(() => {
      manualSeed(2)
      const [batch, length, heads, width] = [3, 29, 2, 24] as const
      const d = heads * width
      const [whole, views] = [0, 1].map(() => randn([batch, length, 3 * d])) as [Tensor, Tensor]
      views.copy_(whole)
      for (const x of [whole, views]) x.requiresGrad_()
      const parts = [0, 1, 2].map((i) => views.narrow(2, i * d, d)) as [Tensor, Tensor, Tensor]
      const copies = parts.map((part) => part.detach().clone().requiresGrad_()) as typeof parts
      const weights = randn([batch, d, length]).permute([0, 2, 1])
      const results = [selfAttention(whole, heads, true), attention(...parts, heads, true)]
      const expected = attention(...copies, heads, true)
      for (const y of results) {
        expect(y.data()).toEqual(expected.data())
        y.mul(weights).sum().backward()
      }
      expected.mul(weights.contiguous()).sum().backward()
      for (const x of [whole, views])
        for (const [i, copy] of copies.entries()) {
          const own = x.grad!.narrow(2, i * d, d).contiguous()
          expect(own.data()).toEqual(copy.grad!.data())
        }
    })
  })

  test("inputs whose values do not lie side by side", () => {
    scope(() => {
      const leaf = randn([2, 48, 20]).requiresGrad_()
      const x = leaf.permute([0, 2, 1])
      const [own] = grad([attention(x, x, x, 2, false).sum()], [leaf])
      const [expected] = grad([composed(x, x, x, 2, false).sum()], [leaf])
      expect(own!.sub(expected!).abs().max().item()).toBeLessThan(1e-5)
    })
  })

  test("the number of threads changes no bit", () => {
    const before = threads()
    try {
      const [one, two] = [1, 2].map((count) => {
        setThreads(count)
        const wanted = { batch: 5, queries: 77, keys: 77, heads: 3, width: 32, causal: true }
        return scope(() => everythingOf(attention, wanted, "float32").map((x) => x.data()))
      })
      expect(two).toEqual(one)
    } finally {
      setThreads(before)
    }
  })

  test("scores of any size, and what is not finite", () => {
    scope(() => {
      const [q, k, v] = leavesOf({ batch: 1, queries: 6, keys: 20, heads: 1, width: 8, causal: false }, "float32")
      const far = q!.detach().mul(1e4)
      const difference = attention(far, k!, v!, 1, false)
        .sub(composed(far, k!, v!, 1, false))
        .abs()
        .max()
        .item()
      expect(difference).toBeLessThan(1e-3)
      const broken = q!.detach().mul(Number.NaN)
      expect([...(attention(broken, k!, v!, 1, false).data() as Float32Array)].every(Number.isNaN)).toBe(true)
    })
  })

  test("empty batches and no queries give nothing, and gradients of 0", () => {
    scope(() => {
      for (const [batch, queries] of [
        [0, 3],
        [2, 0],
      ] as const) {
        const [q, k, v] = leavesOf({ batch, queries, keys: 4, heads: 2, width: 8, causal: false }, "float32")
        const y = attention(q!, k!, v!, 2, false)
        expect(y.shape).toEqual([batch, queries, 16])
        y.sum().backward()
        expect(k!.grad!.abs().sum().item()).toBe(0)
      }
      const whole = randn([0, 3, 24]).requiresGrad_()
      selfAttention(whole, 2, true).sum().backward()
      expect(whole.grad!.shape).toEqual([0, 3, 24])
    })
  })

  const x = (shape: readonly number[], dtype: "float32" | "float64" | "bfloat16" = "float32") =>
    randn(shape).to({ dtype })
  test.each<[problem: string, run: () => unknown, message: RegExp]>([
    [
      "heads",
      () => attention(x([1, 2, 6]), x([1, 2, 6]), x([1, 2, 6]), 4, false),
      /4 heads do not divide a width of 6/,
    ],
    ["a dtype", () => attention(x([1, 2, 6], "bfloat16"), x([1, 2, 6]), x([1, 2, 6]), 2, false), /float32 or float64/],
    ["two dtypes", () => attention(x([1, 2, 6]), x([1, 2, 6], "float64"), x([1, 2, 6]), 2, false), /one dtype/],
    ["widths", () => attention(x([1, 2, 6]), x([1, 2, 8]), x([1, 2, 8]), 2, false), /\[N, S, D\], found \[1, 2, 6\]/],
    ["values", () => attention(x([1, 2, 6]), x([1, 2, 6]), x([1, 3, 6]), 2, false), /as many keys as values/],
    ["one matrix", () => selfAttention(x([1, 2, 8]), 2, false), /side by side, \[N, L, 3D\], found \[1, 2, 8\]/],
    ["no keys", () => attention(x([1, 2, 6]), x([1, 0, 6]), x([1, 0, 6]), 2, false), /at least one key/],
  ])("refuses %s that do not fit", (_, run, message) => {
    scope(() => expect(run).toThrow(message))
  })
})

describe("with a bias for each key", () => {
  const wanted: Case = { batch: 3, queries: 2, keys: 21, heads: 2, width: 24, causal: false }

  /** Some keys are hidden, as a text tower hides what comes after a text's end. */
  function biasOf(dtype: DType): Tensor {
    return randn([3, 21])
      .mul(2)
      .add(tensor(hidden, [3, 21]).mul(-1e9))
      .to({ dtype })
  }
  const hidden = Float32Array.from({ length: 63 }, (_, i) => (i % 21 > 3 + (i % 5) ? 1 : 0))

  test("result and gradients equal libtorch's", () => {
    scope(() => {
      manualSeed(2)
      const bias = biasOf("float64")
      const ours: Form = (q, k, v, heads, causal) => attention(q, k, v, heads, causal, bias)
      const theirs: Form = (q, k, v, heads) =>
        scaledDotProductAttention(split(q, heads), split(k, heads), split(v, heads), {
          mask: bias.unsqueeze(1).unsqueeze(1),
        })
          .permute([0, 2, 1, 3])
          .reshape([...q.shape])
      // Rounding of float64 sums over a few dozen terms.
      expect(apart(everythingOf(ours, wanted, "float64"), everythingOf(theirs, wanted, "float64"))).toBeLessThan(1e-13)
      const single: Form = (q, k, v, heads, causal) => attention(q, k, v, heads, causal, bias.to({ dtype: "float32" }))
      expect(apart(everythingOf(single, wanted, "float32"), everythingOf(theirs, wanted, "float64"))).toBeLessThan(2e-6)
    })
  })

  test.each(["float32", "float64"] as const)("keys that are all hidden by the lowest %s count alike", (dtype) => {
    scope(() => {
      const [q, k, v] = leavesOf(wanted, dtype) as [Tensor, Tensor, Tensor]
      const lowest = dtype === "float32" ? -(2 - 2 ** -23) * 2 ** 127 : -Number.MAX_VALUE
      const bias = tensor(new Float64Array(63).fill(lowest), [3, 21]).to({ dtype })
      const mean = v.mean([1], true)
      // A few roundings of float32.
      expect(attention(q, k, v, 2, false, bias).sub(mean).abs().max().item()).toBeLessThan(1e-6)
    })
  })

  test("what it cannot be added to is named", () => {
    scope(() => {
      const [q, k, v] = leavesOf(wanted, "float32") as [Tensor, Tensor, Tensor]
      const bias = biasOf("float32")
      expect(() => attention(q, k, v, 2, true, bias)).toThrow("either causal, or with a bias")
      expect(() => attention(q, k, v, 2, false, bias.narrow(1, 0, 20))).toThrow("a bias [N, S] like the keys")
      expect(() => attention(q, k, v, 2, false, bias.clone().requiresGrad_())).toThrow("a bias gets no gradient")
    })
  })
})
