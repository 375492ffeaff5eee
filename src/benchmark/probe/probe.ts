/**
 * What frozen vectors are worth with a linear classifier on top: of all pictures of the training split, or of a few of each
 * class. The strength of regularisation is chosen on pictures that the classifier does not see.
 */
import { Random } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import { accuracyAt } from "../../evaluate/metrics/classification.ts"
import { type Predictions, predictionsOf } from "../../evaluate/metrics/predictions.ts"
import { fitLogistic, type Labelled, type LogisticModel, logits } from "./logistic-regression.ts"

/** Inverse strengths that are tried; vectors have unit length. */
const strengths = [0.1, 1, 10, 100, 1000, 10_000] as const

/** What chooses the strength: every fifth picture of the training split in a shuffled order. */
const heldOutShare = 5

/** Pictures of each class beside the shots that choose the strength: never more than the shots. */
const mostValidationShots = 4

export interface ProbeResult {
  readonly predictions: Predictions
  /** The chosen inverse strength. */
  readonly c: number
}

/** A classifier of all training pictures. */
export function linearProbe(train: Labelled, test: Labelled, classes: number, signal?: AbortSignal): ProbeResult {
  requireTwo(train, classes)
  const order = Random.of(0, "linear probe").shuffle([...Array(train.labels.length).keys()])
  const validation = order.filter((_, i) => i % heldOutShare === 0)
  const rest = order.filter((_, i) => i % heldOutShare !== 0)
  return fitted(train, picked(train, rest), picked(train, validation), test, classes, signal)
}

/**
 * A classifier of `shots` pictures of each class (fewer where a class has fewer), drawn by `seed`; up to four more of each
 * choose the strength.
 */
export function fewShot(
  train: Labelled,
  test: Labelled,
  classes: number,
  { shots, seed, signal }: { readonly shots: number; readonly seed: number; readonly signal?: AbortSignal | undefined },
): ProbeResult {
  requireTwo(train, classes)
  const order = Random.of(seed, "few-shot").shuffle([...Array(train.labels.length).keys()])
  const seen = new Array<number>(classes).fill(0)
  const [chosen, validation]: [number[], number[]] = [[], []]
  const extra = Math.min(shots, mostValidationShots)
  for (const row of order) {
    const place = seen[train.labels[row]!]!++
    if (place < shots) chosen.push(row)
    else if (place < shots + extra) validation.push(row)
  }
  const few = picked(train, chosen)
  return fitted(few, few, validation.length > 0 ? picked(train, validation) : few, test, classes, signal)
}

/** Tries strengths on `part`, keeps the best on `validation` (the stronger of equal ones), and fits `all` with it. */
function fitted(
  all: Labelled,
  part: Labelled,
  validation: Labelled,
  test: Labelled,
  classes: number,
  signal: AbortSignal | undefined,
): ProbeResult {
  let from: LogisticModel | undefined
  let best = { c: strengths[0] as number, accuracy: -1, model: from }
  for (const c of strengths) {
    from = fitLogistic(part, classes, { c, from, signal })
    const accuracy = accuracyAt(predict(from, validation), 1)
    if (accuracy > best.accuracy) best = { c, accuracy, model: from }
  }
  const model = all === part ? best.model! : fitLogistic(all, classes, { c: best.c, from: best.model, signal })
  return { predictions: predict(model, test), c: best.c }
}

function predict(model: LogisticModel, { features, labels }: Labelled): Predictions {
  return predictionsOf(logits(model, features), model.classes, labels)
}

function picked({ features, width, labels }: Labelled, rows: readonly number[]): Labelled {
  const some = new Float32Array(rows.length * width)
  rows.forEach((row, i) => {
    some.set(features.subarray(row * width, (row + 1) * width), i * width)
  })
  return { features: some, width, labels: rows.map((row) => labels[row]!) }
}

function requireTwo({ labels }: Labelled, classes: number): void {
  const found = new Set(Array.from(labels)).size
  if (found < 2)
    throw new UserError(`the training split shows ${found} of ${classes} classes`, "a probe needs two at least")
}
