import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import type { Answers } from "./answers.ts"
import { bootstrapScores, middleOf, pairedDifference } from "./bootstrap.ts"
import { plainScore, type Scored, scoredAnswers } from "./scores.ts"

const answers = (given: { labels: number[]; right: number[]; predicted?: number[]; groups?: number[] }): Answers => ({
  labels: Int32Array.from(given.labels),
  right: Uint8Array.from(given.right),
  predicted: given.predicted ? Int32Array.from(given.predicted) : null,
  groups: given.groups ? Int32Array.from(given.groups) : null,
})

const ones = (scored: Scored | null) => plainScore(scored!)

const weighted = (scored: Scored | null, weights: number[]) =>
  scored!.scoreOf(Int32Array.from(weights, (_, i) => i))(weights)

// Three pictures of class 0, one of class 2; nobody shows class 1.
const few = answers({ labels: [0, 0, 0, 2], right: [1, 0, 1, 0], predicted: [0, 1, 0, 0], groups: [0, 0, 1, 5] })

test("main metrics of answers, worked out by hand", () => {
  expect(ones(scoredAnswers("acc1", few))).toBe(0.5)
  expect(ones(scoredAnswers("mean_per_class_recall", few))).toBeCloseTo((2 / 3 + 0) / 2, 12)
  // Class 0: 2 hits, 3 shown, 3 predicted.
  expect(ones(scoredAnswers("F1-macro_all", few))).toBeCloseTo((4 / 6 + 0) / 2, 12)
  expect(ones(scoredAnswers("acc_worst_region", few))).toBe(0)
  expect(ones(scoredAnswers("acc_worst_region", few, 5))).toBe(0.5)
  expect(scoredAnswers("acc_wg", { ...few, groups: null })).toBeNull()
  expect(scoredAnswers("mean_average_precision", few)).toBeNull()
})

test("a drawn picture counts as often as it was drawn, and a class that was not drawn does not", () => {
  expect(weighted(scoredAnswers("acc1", few), [3, 0, 0, 1])).toBe(0.75)
  expect(weighted(scoredAnswers("mean_per_class_recall", few), [1, 2, 1, 0])).toBe(0.5)
})

test("captions are drawn with their picture", () => {
  // Two pictures, three captions, of which two are of picture 0.
  const recall = scoredAnswers("mean_recall@1", answers({ labels: [0, 1, 0, 0, 1], right: [1, 0, 1, 0, 0] }))!
  expect(recall.pictures).toBe(2)
  expect(ones(recall)).toBeCloseTo((1 / 2 + 1 / 3) / 2, 12)
  expect(weighted(recall, [2, 0])).toBeCloseTo((1 + 1 / 2) / 2, 12)
  expect(scoredAnswers("mean_recall@1", answers({ labels: [1, 0, 0], right: [1, 0, 1] }))).toBeNull()
})

test("an association's indices count from ten candidates on", () => {
  const instances = answers({ labels: [5, 10, 12], right: [1, 0, 0], predicted: [1_000_000, 250_000, 750_000] })
  expect(ones(scoredAnswers("jaccard_score_10-12", instances))).toBe(0.5)
})

/** 400 pictures of which the second model has ten more right, all of the others alike. */
const first = answers({ labels: Array(400).fill(0), right: Array.from({ length: 400 }, (_, i) => (i < 200 ? 1 : 0)) })
const second = answers({ labels: Array(400).fill(0), right: Array.from({ length: 400 }, (_, i) => (i < 210 ? 1 : 0)) })
const both = [first, second].map((each) => scoredAnswers("acc1", each)!)

test("a bootstrap depends on its seed and the task alone", () => {
  const draw = (task: string, seed: number) => bootstrapScores(both, task, { resamples: 50, seed })
  expect(draw("a", 1)).toEqual(draw("a", 1))
  expect(draw("a", 1)).not.toEqual(draw("a", 2))
  expect(draw("a", 1)).not.toEqual(draw("b", 1))
})

test("drawing kinds of pictures is drawing pictures: the same mean and spread as one by one", () => {
  // Mean recall of 3 classes, of 60 pictures.
  const labels = Array.from({ length: 60 }, (_, i) => (i < 40 ? 0 : i < 55 ? 1 : 2))
  const scored = scoredAnswers(
    "mean_per_class_recall",
    answers({ labels, right: labels.map((_, i) => (i % 3 === 0 ? 1 : 0)) }),
  )!
  const random = Random.of(5)
  const byPicture = Float64Array.from({ length: 3000 }, () => {
    const weights = new Array<number>(60).fill(0)
    for (let i = 0; i < 60; i++) weights[random.int(60)]! += 1
    return weighted(scored, weights)
  })
  const [byKind] = bootstrapScores([scored], "kinds", { resamples: 3000 })
  const meanOf = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / values.length
  const spreadOf = (values: Float64Array) => Math.sqrt(meanOf(values.map((value) => (value - meanOf(values)) ** 2)))
  expect(meanOf(byKind!)).toBeCloseTo(meanOf(byPicture), 2)
  expect(spreadOf(byKind!) / spreadOf(byPicture)).toBeCloseTo(1, 1)
})

test("pairing leaves what both have in common out of the difference's interval", () => {
  const [from, to] = bootstrapScores(both, "paired") as [Float64Array, Float64Array]
  const alone = middleOf(from, 0.5)
  // Standard deviations: sqrt(0.25 / 400) = 2.5 points alone, sqrt(0.025 * 0.975 / 400) = 0.78 of the difference.
  expect(alone.high - alone.low).toBeGreaterThan(0.09)
  expect(alone.high - alone.low).toBeLessThan(0.106)
  const { low, high } = pairedDifference(from, to, 0.025)!
  expect(low).toBeGreaterThan(0.008)
  expect(low).toBeLessThan(0.014)
  expect(high).toBeGreaterThan(0.036)
  expect(high).toBeLessThan(0.044)
})

test("percentiles are interpolated as NumPy's are", () => {
  // numpy.percentile(range(101), [2.5, 97.5])
  expect(
    middleOf(
      Float64Array.from({ length: 101 }, (_, i) => 100 - i),
      50,
    ),
  ).toEqual({
    low: expect.closeTo(2.5, 9),
    high: expect.closeTo(97.5, 9),
  })
})

test("an interval is about the score, also where draws are lower than it", () => {
  // 300 pictures of 150 classes, most of two pictures: a draw leaves many classes with one, or with none.
  const labels = Array.from({ length: 300 }, (_, i) => Math.floor(i / 2))
  const predicted = labels.map((label, i) => (i % 3 === 0 ? label : (label + 1) % 150))
  const rare = answers({ labels, right: labels.map((label, i) => (label === predicted[i] ? 1 : 0)), predicted })
  // Six groups, all alike: the worst of a draw is lower than the worst of the pictures.
  const grouped = answers({
    labels: Array(600).fill(0),
    right: Array.from({ length: 600 }, (_, i) => (i % 5 < 4 ? 1 : 0)),
  })
  const groups = Int32Array.from({ length: 600 }, (_, i) => Math.floor(i / 100))
  const cases = [scoredAnswers("F1-macro_all", rare)!, scoredAnswers("acc_wg", { ...grouped, groups })!]
  for (const scored of cases) {
    const score = plainScore(scored)
    const [drawn] = bootstrapScores([scored], "low")
    const mean = drawn!.reduce((a, b) => a + b, 0) / drawn!.length
    expect(mean).toBeLessThan(score - 0.01)
    const { low, high } = middleOf(drawn!, score)
    expect((low + high) / 2).toBeCloseTo(score, 1)
    expect(low).toBeLessThan(score)
    expect(high).toBeGreaterThan(score)
    expect(Math.abs(score - low - (high - score))).toBeLessThan((high - low) / 3)
  }
})

test("a difference that every draw has alike has no interval of its own", () => {
  const all = answers({ labels: [0, 0, 0], right: [1, 1, 1] })
  const none = answers({ labels: [0, 0, 0], right: [0, 0, 0] })
  const [from, to] = bootstrapScores([scoredAnswers("acc1", none)!, scoredAnswers("acc1", all)!], "alike")
  expect(pairedDifference(from!, to!, 1)).toBeNull()
})

test("pictures that a score cannot tell apart are of one kind, and no others", () => {
  const all = answers({ labels: [0, 0, 1, 1], right: [1, 1, 1, 0], predicted: [0, 0, 1, 0], groups: [3, 4, 4, 4] })
  const kinds = (metric: string) => {
    const { kindOf, pictures } = scoredAnswers(metric, all)!
    const names = Array.from({ length: pictures }, (_, i) => kindOf(i))
    return names.map((name) => names.indexOf(name))
  }
  expect(kinds("acc1")).toEqual([0, 0, 0, 3])
  expect(kinds("mean_per_class_recall")).toEqual([0, 0, 2, 3])
  expect(kinds("F1-macro_all")).toEqual([0, 0, 2, 3])
  expect(kinds("acc_worst_region")).toEqual([0, 1, 1, 3])
  expect(kinds("jaccard_score_10-12")).toEqual([0, 0, 2, 3])
})
