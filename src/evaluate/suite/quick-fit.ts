/**
 * How the quick suite's weights come about: what the tasks add to the average themselves (a 38th each), and a ridge regression
 * for what the other tasks add. Models are the 14 released ones, and one that guesses, so that the line is right at its lower
 * end: weak models lie between the two. Scores are 0..1, by key.
 */
import { mainMetricOf } from "./averages.ts"
import { publishedModels } from "./published.ts"
import { findTask, suiteTasks } from "./tasks.ts"

/** A model's main metrics. */
export type Scores = Readonly<Record<string, number>>

/** average = intercept + sum of weights x scores */
interface AverageFit {
  readonly intercept: number
  readonly weights: Scores
}

/** The ridge's penalty on squared weights, for scores in points. */
export const quickPenalty = 100

const counted = suiteTasks.filter((task) => task.counted)

/** Prompts for each class, as CLIP_benchmark has them; ImageNet's 80 elsewhere. */
const templates: Readonly<Record<string, number>> = {
  ...{ "vtab/caltech101": 34, cifar10: 18, "vtab/cifar100": 18, "vtab/clevr_count_all": 1 },
  ...{ "vtab/clevr_closest_object_distance": 1, country211: 5, "vtab/dtd": 8, "vtab/eurosat": 3, fgvc_aircraft: 2 },
  ...{ food101: 1, gtsrb: 3, "vtab/kitti_closest_vehicle_distance": 1, mnist: 1, "vtab/flowers": 1, "vtab/pets": 1 },
  ...{ voc2007: 1, "vtab/pcam": 2, renderedsst2: 1, "vtab/resisc45": 4, cars: 8, stl10: 2, sun397: 2, "vtab/svhn": 6 },
}

/** Cheap tasks: few prompts, data that are read in minutes, and a metric that a part of the pictures estimates. */
const [mostPrompts, mostPictures] = [2000, 35_000] as const
export const quickCandidates: readonly string[] = counted.flatMap((task) => {
  if (task.kind !== "classification" || task.groupMetrics) return []
  return promptsOf(task.key) <= mostPrompts && task.size! <= mostPictures ? [task.key] : []
})

/** Texts that a task's classifier is made of. */
export function promptsOf(key: string): number {
  return findTask(key)!.classes! * (templates[key] ?? 80)
}

/** What guessing gives where the rows do not say: a match among 1,000 and 5,000, five of 58 classes, one of 40. */
const guessedElsewhere: Scores = {
  "retrieval/flickr_1k_test_image_text_retrieval": 0.001,
  "retrieval/mscoco_2014_5k_test_image_text_retrieval": 0.0002,
  "fairness/dollar_street": 5 / 58,
  "fairness/geode": 1 / 40,
}

/** The 38 main metrics of a model that guesses. */
export const guessing: Scores = Object.fromEntries(
  counted.map(({ key, chance }) => [key, chance ?? guessedElsewhere[key]!]),
)

/** The 38 main metrics of each published model, in their order. */
export const publishedScores: readonly Scores[] = publishedModels.map(({ results }) => {
  const byKey = new Map(results.map((result) => [result.key, mainMetricOf(result)!]))
  return Object.fromEntries(counted.map(({ key }) => [key, byKey.get(key)!]))
})

export function averageOf(scores: Scores): number {
  return counted.reduce((sum, { key }) => sum + scores[key]!, 0) / counted.length
}

export function fitAverage(keys: readonly string[], models: readonly Scores[], penalty = quickPenalty): AverageFit {
  const rows = [...models, guessing]
  const share = 1 / counted.length
  const features = rows.map((scores) => keys.map((key) => 100 * scores[key]!))
  const others = rows.map((scores, i) => 100 * averageOf(scores) - share * sum(features[i]!))
  const ridge = ridgeRegression(features, others, penalty)
  return {
    intercept: ridge.intercept / 100,
    weights: Object.fromEntries(keys.map((key, i) => [key, share + ridge.weights[i]!])),
  }
}

export function applyFit({ intercept, weights }: AverageFit, scores: Scores): number {
  return intercept + sum(Object.entries(weights).map(([key, weight]) => weight * scores[key]!))
}

/**
 * What each model's average differs from that predicted by a fit to the other models, 0..1.
 * @param choose the tasks of the fit, from the other models: always the same ones, or chosen anew each time
 */
export function leaveOneOut(
  models: readonly Scores[],
  choose: (others: readonly Scores[]) => readonly string[],
  penalty = quickPenalty,
): number[] {
  return models.map((model, i) => {
    const others = models.toSpliced(i, 1)
    return averageOf(model) - applyFit(fitAverage(choose(others), others, penalty), model)
  })
}

/** The tasks that one after the other reduce the error of leaving one model out most. */
export function chooseTasks(
  candidates: readonly string[],
  count: number,
  models: readonly Scores[],
  penalty = quickPenalty,
): string[] {
  const chosen: string[] = []
  while (chosen.length < count) {
    const left = candidates.filter((key) => !chosen.includes(key))
    const errors = left.map((key) => rootMeanSquare(leaveOneOut(models, () => [...chosen, key], penalty)))
    chosen.push(left[errors.indexOf(Math.min(...errors))]!)
  }
  return chosen
}

export function rootMeanSquare(values: readonly number[]): number {
  return Math.sqrt(sum(values.map((value) => value * value)) / values.length)
}

/** Least squares with an intercept, and a penalty on squared weights. */
function ridgeRegression(features: readonly (readonly number[])[], targets: readonly number[], penalty: number) {
  const columns = features[0]!.map((_, column) => features.map((row) => row[column]!))
  const means = columns.map(mean)
  const centred = columns.map((column, j) => column.map((value) => value - means[j]!))
  const gram = centred.map((a, i) => centred.map((b, j) => dot(a, b) + (i === j ? penalty : 0)))
  const weights = solve(
    gram,
    centred.map((column) => dot(column, targets)),
  )
  return { weights, intercept: mean(targets) - dot(weights, means) }
}

/** Solves a x = b for a positive definite matrix, by elimination without pivots. */
function solve(a: readonly (readonly number[])[], b: readonly number[]): number[] {
  const rows = a.map((row, i) => [...row, b[i]!])
  rows.forEach((pivot, i) => {
    for (const row of rows.slice(i + 1)) {
      const factor = row[i]! / pivot[i]!
      for (let j = i; j < row.length; j++) row[j]! -= factor * pivot[j]!
    }
  })
  const x: number[] = new Array(b.length).fill(0)
  for (let i = b.length - 1; i >= 0; i--) {
    const known = sum(x.map((value, j) => (j > i ? rows[i]![j]! * value : 0)))
    x[i] = (rows[i]!.at(-1)! - known) / rows[i]![i]!
  }
  return x
}

function dot(a: readonly number[], b: readonly number[]): number {
  return sum(a.map((value, i) => value * b[i]!))
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0)
}
