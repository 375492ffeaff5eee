/** Retrieval, caption selection, association, several classes at once: what golden data do not reach. */
import { expect, test } from "vitest"
import { associationAnswer, associationMetrics, cuePrompt } from "./association.ts"
import { captionAnswer, captionSelectionMetrics } from "./caption-selection.ts"
import { meanAveragePrecision } from "./multilabel.ts"
import { recallAt, retrievalMetrics } from "./retrieval.ts"
import { metricsOf, rightAnswers } from "./task-metrics.ts"

test("recall in both directions; an image without texts finds none", () => {
  const ranks = {
    textToImage: Float64Array.of(0, 2, 2),
    imageToText: Float64Array.of(0, 0, Number.POSITIVE_INFINITY),
  }
  expect(recallAt(ranks, 1)).toEqual({ textToImage: 1 / 3, imageToText: 2 / 3 })
  expect(recallAt(ranks, 2)).toEqual({ textToImage: 1 / 3, imageToText: 2 / 3 })
  expect(recallAt(ranks, 3)).toEqual({ textToImage: 1, imageToText: 2 / 3 })
  expect(retrievalMetrics(ranks)).toMatchObject({
    "image_retrieval_recall@1": 1 / 3,
    "text_retrieval_recall@1": 2 / 3,
    "mean_recall@1": 0.5,
  })
})

test("one picture and two captions: the first caption must have the larger score, or an equal one", () => {
  const answers = [
    [0.9, 0.1],
    [0.1, 0.9],
    [0.5, 0.5],
  ].map((scores) => captionAnswer(Float32Array.from(scores), 2))
  expect(answers.map(({ text }) => text)).toEqual([true, false, true])
  expect(captionSelectionMetrics(answers)).toEqual({ image_acc: 1, text_acc: 2 / 3, acc: 2 / 3 })
})

test("two pictures and two captions: each caption must find its picture too", () => {
  // Both pictures find their captions; both captions find picture 0.
  const answer = captionAnswer(Float32Array.of(0.9, 0.8, 0.1, 0.2), 2)
  expect(answer).toEqual({ image: false, text: true })
  expect(captionSelectionMetrics([answer])).toEqual({ image_acc: 0, text_acc: 1, acc: 0 })
})

test("as many pictures are chosen as belong to the cue", () => {
  const scores = Float32Array.of(0.1, 0.9, 0.8, 0.7, 0.6)
  expect(associationAnswer(scores, [true, true, false, false, false])).toEqual({ candidates: 5, jaccard: 1 / 3 })
  expect(associationAnswer(scores, [false, true, true, false, false]).jaccard).toBe(1)
  expect(associationAnswer(scores, [false, false, false, false, false]).jaccard).toBe(0)
  // Without any knowledge the first are chosen.
  expect(associationAnswer(new Float32Array(5), [true, false, false, false, false]).jaccard).toBe(1)
})

test("associations are averaged by the number of candidates; null where there is none", () => {
  const answers = [5, 6, 10].map((candidates, i) => ({ candidates, jaccard: i / 2 }))
  expect(associationMetrics(answers)).toEqual({
    avg_jaccard_score: 0.5,
    jaccard_score_5: 0,
    jaccard_score_6: 0.5,
    jaccard_score_10: 1,
    jaccard_score_12: null,
    "jaccard_score_5-6": 0.25,
    "jaccard_score_10-12": 1,
  })
})

test("cues in lower case after A, or An before a vowel's letter", () => {
  expect(["Émile", "OWL", "unit"].map(cuePrompt)).toEqual(["A émile", "An owl", "An unit"])
})

test("average precision: the first of equal scores ranks higher, a class without pictures has 0", () => {
  // Class 0: right, wrong, right in order of scores; class 1 has no pictures.
  const scores = Float32Array.of(0.5, 1, 0.5, 2, 0.1, 3)
  expect(meanAveragePrecision(scores, Uint8Array.of(1, 0, 0, 0, 1, 0), 2)).toBe((1 + 2 / 3) / 2 / 2)
})

test("average precision of a class that one picture shows: one over its rank", () => {
  expect(meanAveragePrecision(Float32Array.of(3, 2, 1), Uint8Array.of(1, 0, 0), 1)).toBe(1)
  expect(meanAveragePrecision(Float32Array.of(3, 2, 1), Uint8Array.of(0, 0, 1), 1)).toBe(1 / 3)
})

test("average precision of scores that are not numbers: they come last", () => {
  const scores = Float32Array.of(Number.NaN, 0.5, Number.NaN, 0.25)
  expect(meanAveragePrecision(scores, Uint8Array.of(0, 1, 1, 0), 1)).toBe((1 + 2 / 4) / 2)
})

test("what the main metric counts as right", () => {
  const predictions = {
    classes: 6,
    labels: Int32Array.of(4, 5),
    best: Int32Array.of(0, 1, 2, 3, 4, 5, 0, 1, 2, 3),
    kept: 5,
  }
  expect([...rightAnswers({ mainMetric: "acc_top5_wg" }, predictions)]).toEqual([1, 1])
  expect([...rightAnswers({ mainMetric: "acc_wg" }, predictions)]).toEqual([0, 1])
})

test("the main metric is the one that the row names; a task without one has null", () => {
  const answers = { kind: "association", answers: [{ candidates: 12, jaccard: 0.25 }] } as const
  expect(metricsOf({ mainMetric: "jaccard_score_10-12" }, answers)).toMatchObject({ main_metric: 0.25 })
  expect(metricsOf({ mainMetric: "jaccard_score_5" }, answers)).toMatchObject({ main_metric: null })
  expect(metricsOf({ mainMetric: null }, answers)).toMatchObject({ main_metric: null })
})
