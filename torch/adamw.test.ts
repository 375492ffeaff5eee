import { describe, expect, test } from "vitest"
import { type AdamWSettings, type AdamWTensors, adamW, foreachAdamW, libtorchAdamW } from "./adamw.ts"
import {
  call,
  type DType,
  manualSeed,
  noGrad,
  randn,
  scope,
  setThreads,
  type Tensor,
  tensor,
  threads,
  version,
} from "./index.ts"

const settings = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-6, weightDecay: 0.2 }
const names = ["parameters", "gradients", "firstMoments", "secondMoments"] as const

/** Vectors and their remainders, a scalar, an empty tensor, one that threads share. */
const shapes = [[3, 5], [], [0, 4], [64], [2, 3, 3, 3], [7], [300, 257]]

/** Values of PyTorch's formula, one after the other, in float64. */
class Reference {
  private readonly first: Float64Array
  private readonly second: Float64Array

  constructor(readonly parameter: Float64Array) {
    this.first = new Float64Array(parameter.length)
    this.second = new Float64Array(parameter.length)
  }

  update(gradient: Float64Array, { learningRate, beta1, beta2, eps, weightDecay, updates }: AdamWSettings): void {
    const { parameter: p, first: m, second: v } = this
    for (const [i, g] of gradient.entries()) {
      p[i]! -= learningRate * weightDecay * p[i]!
      m[i] = beta1 * m[i]! + (1 - beta1) * g
      v[i] = beta2 * v[i]! + (1 - beta2) * g ** 2
      const [mean, square] = [m[i]! / (1 - beta1 ** updates), v[i]! / (1 - beta2 ** updates)]
      p[i]! -= (learningRate * mean) / (Math.sqrt(square) + eps)
    }
  }
}

type Place = (x: Tensor) => Tensor
const channelsLast: Place = (x) => (x.shape.length === 4 ? (call("contiguous", x, "channels_last") as Tensor) : x)
/** Every second value: dense in no layout. */
const sparse: Place = (x) => call("select.int", call("stack", [x, x], -1), -1, 0) as Tensor
const plain: Place = (x) => x

function randomTensors(dtype: DType, place: Place = plain): AdamWTensors {
  manualSeed(1)
  const random = () => shapes.map((shape) => place(randn(shape).to({ dtype })))
  const zeros = () => random().map((x) => x.zero_())
  return { parameters: random(), gradients: random(), firstMoments: zeros(), secondMoments: zeros() }
}

function join(a: AdamWTensors, b: AdamWTensors): AdamWTensors {
  const joined = names.map((name) => [name, [...a[name], ...b[name]]])
  return Object.fromEntries(joined) as Record<(typeof names)[number], Tensor[]>
}

function mixedLayouts(): AdamWTensors {
  const tensors = randomTensors("float64")
  return { ...tensors, gradients: tensors.gradients.map(channelsLast) }
}

const valuesOf = (x: Tensor) => x.to({ dtype: "float64" }).data().slice() as Float64Array

/** Four updates with changing gradients, beside the reference. */
function fourUpdates(tensors: AdamWTensors, weightDecay: number): Reference[] {
  const references = tensors.parameters.map((p) => new Reference(valuesOf(p)))
  for (let updates = 1; updates <= 4; updates++) {
    const now = { ...settings, weightDecay, updates }
    for (const [i, gradient] of tensors.gradients.entries()) {
      gradient.mul_(-0.7).add_(0.1)
      references[i]!.update(valuesOf(gradient), now)
    }
    adamW(tensors, now)
  }
  return references
}

const largest = (errors: readonly number[]) => errors.reduce((a, b) => Math.max(a, b), 0)

function apart(actual: Tensor, expected: Float64Array): number {
  const values = valuesOf(actual)
  expect(values.length).toBe(expected.length)
  return largest(Array.from(expected, (x, i) => Math.abs(values[i]! - x)))
}

const cases: [string, DType, Place, weightDecay: number, tolerance: number][] = [
  ["float64", "float64", plain, 0.2, 1e-14],
  ["float64 without decay", "float64", plain, 0, 1e-14],
  ["float64, channels last", "float64", channelsLast, 0.2, 1e-14],
  ["float64 with gaps, by operators on lists", "float64", sparse, 0.2, 1e-14],
  ["float32", "float32", plain, 0.2, 2e-6],
  ["float32, channels last, without decay", "float32", channelsLast, 0, 2e-6],
]

test.each(cases)("four updates are PyTorch's, %s", (_, dtype, place, weightDecay, tolerance) => {
  scope(() => {
    const tensors = randomTensors(dtype, place)
    const references = fourUpdates(tensors, weightDecay)
    const errors = references.map(({ parameter }, i) => apart(tensors.parameters[i]!, parameter))
    expect(largest(errors)).toBeLessThan(tolerance)
  })
})

const onePass: [string, () => AdamWTensors, boolean][] = [
  ["float32", () => randomTensors("float32"), true],
  ["float64", () => randomTensors("float64"), true],
  ["channels last", () => randomTensors("float32", channelsLast), true],
  ["no tensors", () => ({ parameters: [], gradients: [], firstMoments: [], secondMoments: [] }), true],
  ["not gaps", () => randomTensors("float32", sparse), false],
  ["not a gradient of another layout", () => mixedLayouts(), false],
  ["not bfloat16", () => randomTensors("bfloat16"), false],
  ["not two dtypes", () => join(randomTensors("float32"), randomTensors("float64")), false],
]

test.each(onePass)("what is done in one pass: %s", (_, given, expected) => {
  scope(() => {
    const tensors = given()
    const { learningRate, beta1, beta2, eps, weightDecay } = settings
    const numbers = [learningRate, beta1, beta2, eps, weightDecay, 1, 1]
    expect(call("mobileclip::adamw_", ...names.map((name) => tensors[name]), ...numbers)).toBe(expected)
  })
})

test("as operators on lists do it, parameters and moments", () => {
  scope(() => {
    const [fused, composed] = [randomTensors("float32"), randomTensors("float32")]
    for (const updates of [1, 2, 3]) {
      adamW(fused, { ...settings, updates })
      foreachAdamW(composed, { ...settings, updates })
    }
    for (const name of names)
      for (const [i, x] of fused[name].entries()) {
        const expected = valuesOf(composed[name][i]!)
        const scale = largest(Array.from(expected, Math.abs))
        expect(apart(x, expected), `${name} ${shapes[i]}`).toBeLessThanOrEqual(1e-6 * scale)
      }
  })
})

test.each<[string, DType, Place]>([
  ["in one pass", "float32", plain],
  ["by operators on lists", "float32", sparse],
])("a scale of the gradients is that of scaled gradients, bit for bit, %s", (_, dtype, place) => {
  scope(() => {
    const [given, scaled] = [randomTensors(dtype, place), randomTensors(dtype, place)]
    for (const gradient of scaled.gradients) gradient.mul_(0.37)
    adamW(given, { ...settings, updates: 1, gradientScale: 0.37 })
    adamW(scaled, { ...settings, updates: 1 })
    for (const name of ["parameters", "firstMoments", "secondMoments"] as const)
      expect(given[name].map((x) => x.data())).toEqual(scaled[name].map((x) => x.data()))
  })
})

describe("libtorch's own operator", () => {
  const [major, minor] = version().split(".").map(Number) as [number, number]
  /** Its kernels for processors came with 2.4. */
  const isThere = major > 2 || (major === 2 && minor >= 4)

  test.each<[DType, Place, number]>([
    ["float64", plain, 1e-14],
    ["float32", plain, 2e-6],
    ["float32", channelsLast, 2e-6],
  ])("gives PyTorch's values where it is there, else nothing is changed: %s", (dtype, place, tolerance) => {
    scope(() => {
      const [tensors, untouched] = [randomTensors(dtype, place), randomTensors(dtype, place)]
      const references = tensors.parameters.map((p) => new Reference(valuesOf(p)))
      for (const updates of [1, 2, 3]) {
        expect(libtorchAdamW(tensors, { ...settings, updates })).toBe(isThere)
        for (const [i, reference] of references.entries())
          reference.update(valuesOf(tensors.gradients[i]!), { ...settings, updates })
      }
      const expected = isThere ? references.map((r) => r.parameter) : untouched.parameters.map(valuesOf)
      expect(largest(expected.map((values, i) => apart(tensors.parameters[i]!, values)))).toBeLessThan(tolerance)
    })
  })

  test("takes gradients of 1 x 1 kernels whose strides of ones differ", () => {
    scope(() => {
      const one = (strides: readonly number[]) => call("as_strided", randn([12]), [4, 3, 1, 1], strides) as Tensor
      const make = (strides: readonly number[]) => {
        manualSeed(3)
        const [p, g] = [one([3, 1, 1, 1]), one(strides)]
        return { parameters: [p], gradients: [g], firstMoments: [p.mul(0)], secondMoments: [p.mul(0)] }
      }
      const [usual, other] = [make([3, 1, 1, 1]), make([3, 1, 3, 3])]
      for (const tensors of [usual, other]) expect(libtorchAdamW(tensors, { ...settings, updates: 1 })).toBe(isThere)
      expect(other.parameters[0]!.data()).toEqual(usual.parameters[0]!.data())
    })
  })

  test("leaves other layouts, mixed dtypes and empty lists to others", () => {
    scope(() => {
      const mixed = join(randomTensors("float32"), randomTensors("float64"))
      const none = { parameters: [], gradients: [], firstMoments: [], secondMoments: [] }
      for (const tensors of [randomTensors("float32", sparse), mixedLayouts(), mixed, none])
        expect(libtorchAdamW(tensors, { ...settings, updates: 1 })).toBe(false)
    })
  })
})

test("every number of threads gives the same bits", () => {
  const before = threads()
  const run = (count: number) =>
    scope(() => {
      setThreads(count)
      const tensors = randomTensors("float32")
      fourUpdates(tensors, 0.2)
      return tensors.parameters.map((p) => p.data())
    })
  try {
    expect(run(3)).toEqual(run(1))
  } finally {
    setThreads(before)
  }
})

test("a gradient of another layout than its parameter", () => {
  scope(() => {
    const [expected, mixed] = [randomTensors("float64"), mixedLayouts()]
    for (const tensors of [expected, mixed]) adamW(tensors, { ...settings, updates: 1 })
    for (const [i, p] of mixed.parameters.entries())
      expect(apart(p, valuesOf(expected.parameters[i]!))).toBeLessThan(1e-14)
  })
})

test("nothing around the tensors is written, gradients neither", () => {
  scope(() => {
    const factors = [1, -2, 3, 4]
    const rows = (factor: number) =>
      tensor(
        Float32Array.from({ length: 60 }, (_, i) => factor * (1 + i)),
        [3, 20],
      )
    const whole = factors.map(rows)
    const [parameters, gradients, firstMoments, secondMoments] = whole.map((x) => [
      call("select.int", x, 0, 1) as Tensor,
    ])
    adamW(
      { parameters: parameters!, gradients: gradients!, firstMoments: firstMoments!, secondMoments: secondMoments! },
      { ...settings, updates: 1 },
    )
    const changed = whole.map((x, k) => {
      const before = rows(factors[k]!).data()
      return Array.from(x.data(), Number).flatMap((value, i) => (value === before[i] ? [] : [i]))
    })
    const row = Array.from({ length: 20 }, (_, i) => 20 + i)
    expect(changed).toEqual([row, [], row, row])
  })
})

test.each(names)("a backward pass that needs the old %s says that they changed", (name) => {
  scope(() => {
    const tensors = randomTensors("float32")
    const x = tensors[name][0]!.requiresGrad_()
    const sum = x.mul(x).sum()
    noGrad(() => adamW(tensors, { ...settings, updates: 1 }))
    const backward = () => sum.backward()
    if (name === "gradients") expect(backward).not.toThrow()
    else expect(backward).toThrow("modified by an inplace operation")
  })
})

test("an empty list is nothing to do", () => {
  const none = { parameters: [], gradients: [], firstMoments: [], secondMoments: [] }
  expect(() => adamW(none, { ...settings, updates: 1 })).not.toThrow()
})

describe("what does not fit is refused, and nothing is changed", () => {
  const refused: [string, (tensors: AdamWTensors) => Partial<AdamWTensors>, string][] = [
    ["lists of two lengths", ({ gradients }) => ({ gradients: gradients.slice(1) }), "7 parameters, 6 gradients"],
    ["no moments", () => ({ secondMoments: [] }), "7 first and 0 second moments"],
    ["shapes", ({ gradients }) => ({ gradients: gradients.toReversed() }), "parameter 0, its gradient and its moments"],
    [
      "dtypes",
      ({ firstMoments }) => ({ firstMoments: firstMoments.with(3, randn([64]).to({ dtype: "float64" })) }),
      "parameter 3, its gradient and its moments must be of one shape, dtype and device",
    ],
    [
      "what is recorded",
      ({ parameters }) => ({ parameters: parameters.map((p) => p.detach().requiresGrad_()) }),
      "belongs inside noGrad",
    ],
  ]
  test.each(refused)("%s", (_, change, message) => {
    scope(() => {
      const tensors = { ...randomTensors("float32") }
      const given = { ...tensors, ...change(tensors) }
      const before = given.parameters.map((p) => p.data())
      expect(() => adamW(given, { ...settings, updates: 1 })).toThrow(message)
      expect(given.parameters.map((p) => p.data())).toEqual(before)
    })
  })

  test("update 0", () => {
    scope(() => {
      const run = () => adamW(randomTensors("float32"), { ...settings, updates: 0 })
      expect(run).toThrow("expected updates from 1, got 0")
    })
  })

  test("but parameters are updated inside noGrad", () => {
    scope(() => {
      const tensors = randomTensors("float32")
      const [p] = tensors.parameters
      const before = p!.data()
      p!.requiresGrad_()
      noGrad(() => adamW(tensors, { ...settings, updates: 1 }))
      expect(p!.data()).not.toEqual(before)
    })
  })
})
