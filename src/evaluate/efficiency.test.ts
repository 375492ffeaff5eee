import { expect, test } from "vitest"
import {
  costToReach,
  efficiencyAgainstEnd,
  efficiencyAt,
  headlineOf,
  type LearningCurve,
  learningEfficiency,
  plateauStart,
  spreadOf,
} from "./efficiency.ts"

/** A tenth of a second for each sample, where nothing else is said. */
const curve = (points: readonly [samples: number, average: number][], secondsEach = 0.1): LearningCurve =>
  points.map(([samplesSeen, average]) => ({ samplesSeen, seconds: secondsEach * samplesSeen, average, tasks: {} }))

const untimed = (points: LearningCurve): LearningCurve => points.map(({ seconds: _, ...point }) => point)

const guessing = 0.1
const plain = curve([
  [1000, 0.2],
  [2000, 0.35],
  [3000, 0.3],
])
const reinforced = curve(
  [
    [1000, 0.5],
    [2000, 0.6],
  ],
  0.2,
)

test("samples and seconds to reach a score are on straight lines between measurements, starting at guessing", () => {
  expect(costToReach(plain, 0.2, guessing)).toEqual({ samples: 1000, seconds: 100 })
  expect(costToReach(plain, 0.275, guessing)!.samples).toBeCloseTo(1500, 9)
  expect(costToReach(plain, 0.275, guessing)!.seconds).toBeCloseTo(150, 9)
  expect(costToReach(reinforced, 0.3, guessing)!.samples).toBeCloseTo(500, 9)
  expect(costToReach(plain, 0.4, guessing)).toBeNull()
  expect(costToReach(plain, 0.1, guessing)).toEqual({ samples: 0, seconds: 0 })
  expect(costToReach(untimed(plain), 0.2, guessing)).toEqual({ samples: 1000, seconds: null })
})

test("the ratio compares both at a share of plain training's gain, in samples and in seconds", () => {
  // The gain is 0.25. 0.225 of it above guessing, 0.325, is 5/6 of the way from 0.2 to 0.35, and 0.225 / 0.4 of that to 0.5.
  const { samples, seconds } = efficiencyAt(0.9, plain, reinforced, guessing)
  expect(samples).toBeCloseTo((1000 + 1000 * (5 / 6)) / 562.5, 9)
  expect(seconds).toBeCloseTo(samples / 2, 9)
  expect(efficiencyAt(1, plain, reinforced, guessing).samples).toBeCloseTo(2000 / 625, 9)
  expect(efficiencyAt(1, reinforced, plain, guessing)).toEqual({ samples: 0, seconds: 0 })
  for (const level of [0.8, 0.9, 0.95, 1])
    expect(efficiencyAt(level, plain, plain, guessing)).toEqual({ samples: 1, seconds: 1 })
  expect(efficiencyAt(0.9, untimed(plain), reinforced, guessing).seconds).toBeNull()
})

test("the best score is reached at every level, whatever rounding does to the sum of guessing and gain", () => {
  for (let i = 1; i < 2000; i++) {
    const best = 0.1 + i / 2111
    const ratio = efficiencyAt(1, curve([[100, best]]), curve([[100, best]]), 0.187)
    expect(Number.isFinite(ratio.samples) && ratio.samples > 0, `${best}`).toBe(true)
  }
})

test("a longer plain run on its plateau raises the ratio at its best, and hardly that at 90 % of its gain", () => {
  const rise: [number, number][] = [
    [1000, 0.3],
    [2000, 0.4],
    [4000, 0.48],
  ]
  const short = curve([...rise, [8000, 0.5]])
  const long = curve([...rise, [8000, 0.5], [32000, 0.502]])
  const fast = curve([
    [1000, 0.5],
    [2000, 0.6],
  ])
  const grown = (level: number) =>
    efficiencyAt(level, long, fast, guessing).samples / efficiencyAt(level, short, fast, guessing).samples
  expect(grown(1)).toBeGreaterThan(3.5)
  expect(grown(0.9)).toBeLessThan(1.05)
  expect(plateauStart(long, guessing)).toBeCloseTo(4000 + 4000 * ((0.1 + 0.95 * 0.402 - 0.48) / 0.02), 6)
  expect(plateauStart(short, guessing)).toBe(4000)
})

test("a curve that rises to its end has no plateau, nor has one that learned nothing; one that falls after its best has one", () => {
  const steps = Array.from({ length: 10 }, (_, i): [number, number] => [100 * (i + 1), guessing + 0.05 * (i + 1)])
  expect(plateauStart(curve(steps), guessing)).toBeNull()
  expect(
    plateauStart(
      curve([
        [1000, 0.1],
        [4000, 0.08],
      ]),
      guessing,
    ),
  ).toBeNull()
  const falling = curve([
    [1000, 0.5],
    [4000, 0.2],
  ])
  expect(plateauStart(falling, guessing)).toBeCloseTo(950, 9)
})

test("a run that was scheduled for fewer samples counts with its score at its end", () => {
  // Its best was earlier, and does not count: 0.3 takes 500 samples and 100 seconds.
  expect(efficiencyAgainstEnd(plain, reinforced, guessing)).toEqual({
    samples: expect.closeTo(6, 9),
    seconds: expect.closeTo(3, 9),
  })
  expect(efficiencyAgainstEnd(curve([[1000, 0.9]]), reinforced, guessing)).toEqual({ samples: 0, seconds: 0 })
})

test("plain training that never beats guessing gives a finite lower bound, and 1 where neither learned anything", () => {
  const flat = curve([
    [1000, 0.1],
    [4000, 0.08],
  ])
  const both = { samples: 4, seconds: 2 }
  expect(efficiencyAt(0.9, flat, reinforced, guessing)).toEqual(both)
  expect(efficiencyAgainstEnd(flat, reinforced, guessing)).toEqual(both)
  expect(efficiencyAt(1, flat, flat, guessing)).toEqual({ samples: 1, seconds: 1 })
  expect(efficiencyAt(1, untimed(flat), flat, guessing)).toEqual({ samples: 1, seconds: null })
})

test("over seeds each level has its spread, and says for how many of them plain training is on its plateau", () => {
  const slow = curve([
    [1000, 0.5],
    [4000, 0.5],
  ])
  const steady = curve([
    [2000, 0.3],
    [4000, 0.5],
  ])
  const efficiency = learningEfficiency({
    plain: [slow, steady],
    reinforced: [reinforced, reinforced],
    scheduled: [{ share: 0.25, curves: [curve([[1000, 0.3]]), curve([[1000, 0.5]])] }],
    guessing,
  })
  expect(efficiency.levels.map(({ level, onPlateau }) => [level, onPlateau])).toEqual([
    [0.8, 0],
    [0.9, 0],
    [0.95, 1],
    [1, 1],
  ])
  expect(efficiency.plateaus).toEqual([expect.closeTo(950, 9), null])
  // 0.46 takes 900 samples, 3600 and, reinforced, 900.
  expect(headlineOf(efficiency).samples).toEqual({
    median: expect.closeTo(2.5, 9),
    low: expect.closeTo(1, 9),
    high: expect.closeTo(4, 9),
  })
  expect(headlineOf(efficiency).seconds!.high).toBeCloseTo(2, 9)
  expect(efficiency.scheduled).toEqual([
    {
      share: 0.25,
      samplesSeen: 1000,
      average: 0.4,
      samples: { median: expect.closeTo(1.5, 9), low: 1, high: expect.closeTo(2, 9) },
      seconds: { median: expect.closeTo(0.75, 9), low: 0.5, high: expect.closeTo(1, 9) },
    },
  ])
  const half = learningEfficiency({ plain: [untimed(slow)], reinforced: [reinforced], guessing })
  expect(half.levels.map(({ seconds }) => seconds)).toEqual([null, null, null, null])
  expect(half.scheduled).toEqual([])
})

test("a spread is the median with the extremes", () => {
  expect(spreadOf([3, 1, 2])).toEqual({ median: 2, low: 1, high: 3 })
  expect(spreadOf([1, 2])).toEqual({ median: 1.5, low: 1, high: 2 })
})

test("plain training that ends no better than guessing has no ratio to speak of", () => {
  const curve = (...averages: number[]) =>
    averages.map((average, i) => ({ samplesSeen: 10 * (i + 1), tasks: {}, average }))
  const compare = (plain: number[]) =>
    learningEfficiency({ plain: [curve(...plain)], reinforced: [curve(0.3, 0.4)], guessing: 0.2 })
  expect(compare([0.21, 0.2]).noGain).toBe(true)
  expect(compare([0.21, 0.25])).not.toHaveProperty("noGain")
})
