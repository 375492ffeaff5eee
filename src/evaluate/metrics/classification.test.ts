import { expect, test } from "vitest"
import { classificationMetrics, confusionOf, macroF1, meanPerClassRecall } from "./classification.ts"
import { type Predictions, predictionsOf } from "./predictions.ts"

/** Best classes: 0, 2, 1, 1; second: 1, 1, 0, 2. */
const scores = Float32Array.of(0.9, 0.5, 0.1, 0.0, 0.2, 0.3, 0.4, 0.8, 0.1, -0.5, 0.7, 0.6)
const labels = [0, 1, 1, 2]

function predicted(classes: number, pairs: readonly (readonly [label: number, predicted: number])[]): Predictions {
  const column = (i: 0 | 1) => Int32Array.from(pairs, (pair) => pair[i])
  return { classes, labels: column(0), best: column(1), kept: 1 }
}

test("confusion has true classes as rows", () => {
  const pairs = [[0, 0], [0, 2], [0, 2], [2, 1]] as const // biome-ignore format: pairs
  expect(confusionOf(predicted(3, pairs))).toEqual([
    [1, 0, 2],
    [0, 0, 0],
    [0, 1, 0],
  ])
})

/** Eight right ones of class 0; of class 1 one is right and one taken for 0; class 2 does not occur. */
const unbalanced = predicted(3, [...new Array(8).fill([0, 0]), [1, 0], [1, 1]])

test("recall and F1 are means over the classes that occur", () => {
  expect(meanPerClassRecall(unbalanced)).toBe((1 + 1 / 2) / 2)
  expect(macroF1(unbalanced)).toBe((16 / 17 + 2 / 3) / 2)
})

test("a class that occurs and is never predicted has 0; one that is predicted and does not occur counts only against others", () => {
  const predictions = predicted(3, [
    [0, 2],
    [1, 1],
  ])
  expect(macroF1(predictions)).toBe((0 + 1) / 2)
})

test("top-5 accuracy is null below five classes", () => {
  expect(classificationMetrics(predictionsOf(scores, 3, labels))).toEqual({
    acc1: 0.5,
    acc5: null,
    mean_per_class_recall: (1 + 1 / 2 + 0) / 3,
  })
  expect(classificationMetrics(predictionsOf(Float32Array.of(5, 4, 3, 2, 1), 5, [4]))).toMatchObject({ acc5: 1 })
  const six = Float32Array.of(6, 5, 4, 3, 2, 1, 6, 5, 4, 3, 2, 1)
  expect(classificationMetrics(predictionsOf(six, 6, [4, 5]))).toMatchObject({ acc1: 0, acc5: 0.5 })
})
