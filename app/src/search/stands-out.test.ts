import { expect, test } from "vitest"
import { bestOfUnrelated, cosinesWith, rank } from "./stands-out.ts"

/** Quantiles of the standard normal distribution, by its distribution function and bisection. */
function normalQuantile(share: number): number {
  let [low, high] = [-10, 10]
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2
    if (distribution(middle) < share) low = middle
    else high = middle
  }
  return low
}

/** Trapezes of the density. */
function distribution(z: number): number {
  const steps = 4000
  const width = (z + 12) / steps
  let sum = 0
  for (let i = 0; i <= steps; i++) {
    const x = -12 + i * width
    sum += (i === 0 || i === steps ? 0.5 : 1) * Math.exp((-x * x) / 2)
  }
  return (sum * width) / Math.sqrt(2 * Math.PI)
}

test.each([20, 100, 1000, 20_000])(
  "of %i unrelated pictures one in twenty of the best is above the threshold",
  (count) => {
    expect(Math.abs(bestOfUnrelated(count) - normalQuantile(1 - 0.05 / count))).toBeLessThan(0.08)
  },
)

/** As a normal distribution has them. */
const unrelated = (count: number) =>
  Array.from({ length: count }, (_, i) => 0.2 + 0.02 * normalQuantile((i + 0.5) / count))

test("of unrelated pictures none stands out; of a few that fit, these do, and z counts spreads from the middle", () => {
  expect(rank(unrelated(200)).standOut).toBe(0)
  const { ranked, standOut } = rank([...unrelated(200), 0.31, 0.33, 0.35])
  expect(standOut).toBe(3)
  expect(ranked.slice(0, 3).map(({ index }) => index)).toEqual([202, 201, 200])
  expect(ranked[0]!.z).toBeCloseTo((0.35 - 0.2) / 0.02, 0)
  expect(ranked.map(({ cosine }) => cosine)).toEqual(ranked.map(({ cosine }) => cosine).toSorted((a, b) => b - a))
})

test("a tenth of the pictures fits: all of them stand out", () => {
  expect(rank([...unrelated(180), ...Array.from({ length: 20 }, () => 0.32)]).standOut).toBe(20)
})

test("the spread is that of the lower half: pictures that fit, above the middle, do not widen it", () => {
  const below = Array.from({ length: 50 }, (_, i) => 0.2 - 0.02 * Math.abs(normalQuantile((i + 0.5) / 100)))
  const above = Array.from({ length: 50 }, (_, i) => 0.2 + 0.002 * (i + 1))
  const { ranked } = rank([...below, ...above])
  expect(ranked[0]!.cosine).toBeCloseTo(0.3, 12)
  expect(ranked[0]!.z).toBeGreaterThan(4.7)
  expect(ranked[0]!.z).toBeLessThan(5.2)
})

test("of fewer than eight pictures nothing is said, and none is an answer too", () => {
  expect(rank([0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.9]).standOut).toBeNull()
  expect(rank([0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.9]).standOut).toBe(1)
  expect(rank([0.1, 0.2, 0.9]).standOut).toBeNull()
  expect(rank([]).ranked).toEqual([])
})

test("cosines of unit vectors", () => {
  const vectors = [Float32Array.of(1, 0), Float32Array.of(0.6, 0.8)]
  expect([...cosinesWith(Float32Array.of(0, 1), vectors)]).toEqual([0, Math.fround(0.8)])
})
