/** Accuracies and recalls of a classification, as CLIP_benchmark and scikit-learn define them. */
import type { Metrics } from "./metrics.ts"
import { bestClass, hitsAt, type Predictions } from "./predictions.ts"

/** Counts [true class][predicted class]. */
export type Confusion = readonly (readonly number[])[]

/** Top-1 and top-5 accuracy (null below five classes), and the mean of the recalls of the classes that occur. */
export function classificationMetrics(predictions: Predictions): Metrics {
  return {
    acc1: accuracyAt(predictions, 1),
    acc5: predictions.classes < 5 ? null : accuracyAt(predictions, 5),
    mean_per_class_recall: meanPerClassRecall(predictions),
  }
}

/** Share of the pictures whose label is among the best `k` classes. */
export function accuracyAt(predictions: Predictions, k: number): number {
  return sum(hitsAt(predictions, k)) / predictions.labels.length
}

/** Mean of the recalls of the classes that occur (scikit-learn's balanced accuracy). */
export function meanPerClassRecall(predictions: Predictions): number {
  const { occurring } = countsOf(predictions)
  return sum(occurring.map(({ right, labelled }) => right / labelled)) / occurring.length
}

/** Macro F1 over the classes that occur: one that is never predicted has 0. */
export function macroF1(predictions: Predictions): number {
  const { occurring } = countsOf(predictions)
  return sum(occurring.map(({ right, labelled, predicted }) => (2 * right) / (labelled + predicted))) / occurring.length
}

/** How often each class was predicted for each true class. For few classes: it holds classes x classes counts. */
export function confusionOf(predictions: Predictions): Confusion {
  const { classes, labels } = predictions
  const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0))
  bestClass(predictions).forEach((predicted, i) => {
    counts[labels[i]!]![predicted]!++
  })
  return counts
}

interface ClassCounts {
  /** Pictures of the class. */
  labelled: number
  /** Pictures that were taken for the class. */
  predicted: number
  right: number
}

function countsOf(predictions: Predictions): { readonly occurring: readonly ClassCounts[] } {
  const counts = Array.from(
    { length: predictions.classes },
    (): ClassCounts => ({ labelled: 0, predicted: 0, right: 0 }),
  )
  bestClass(predictions).forEach((predicted, i) => {
    const label = predictions.labels[i]!
    counts[label]!.labelled++
    counts[predicted]!.predicted++
    if (label === predicted) counts[label]!.right++
  })
  return { occurring: counts.filter(({ labelled }) => labelled > 0) }
}

function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}
