import { expect, test } from "vitest"
import { efficiencyRatio, type LearningCurve, samplesToReach, spreadOf } from "./efficiency.ts"

const curve = (points: readonly [samples: number, average: number][]): LearningCurve =>
  points.map(([samplesSeen, average]) => ({ samplesSeen, average, tasks: {} }))

const plain = curve([
  [1000, 0.2],
  [2000, 0.35],
  [3000, 0.3],
])
const reinforced = curve([
  [1000, 0.5],
  [2000, 0.6],
])

test("samples to reach a score are on straight lines between measurements, starting at guessing", () => {
  expect(samplesToReach(plain, 0.2, 0.1)).toBe(1000)
  expect(samplesToReach(plain, 0.275, 0.1)).toBeCloseTo(1500, 9)
  expect(samplesToReach(reinforced, 0.3, 0.1)).toBeCloseTo(500, 9)
  expect(samplesToReach(plain, 0.4, 0.1)).toBeNull()
  expect(samplesToReach(plain, 0.1, 0.1)).toBe(0)
})

test("the ratio compares plain training at its best", () => {
  // 0.35 is (0.35 - 0.1) / (0.5 - 0.1) of the way to the first measurement.
  expect(efficiencyRatio(plain, reinforced, 0.1)).toBeCloseTo(2000 / 625, 9)
  expect(efficiencyRatio(reinforced, plain, 0.1)).toBe(0)
  expect(efficiencyRatio(plain, plain, 0.1)).toBe(1)
})

test("plain training that never beats guessing gives a finite lower bound, and 1 where neither learned anything", () => {
  const flat = curve([
    [1000, 0.1],
    [4000, 0.08],
  ])
  expect(efficiencyRatio(flat, reinforced, 0.1)).toBe(4)
  expect(efficiencyRatio(flat, flat, 0.1)).toBe(1)
  expect(JSON.stringify(spreadOf([efficiencyRatio(flat, reinforced, 0.1)]))).toBe('{"median":4,"low":4,"high":4}')
})

test("a spread is the median with the extremes", () => {
  expect(spreadOf([3, 1, 2])).toEqual({ median: 2, low: 1, high: 3 })
  expect(spreadOf([1, 2])).toEqual({ median: 1.5, low: 1, high: 2 })
})
