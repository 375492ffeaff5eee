/**
 * The quick suite: ten cheap tasks, and as many pictures of each as its weight deserves, from which the average over the 38 is
 * predicted. 14,591 pictures and 3,485 prompts in place of about 700,000 and 370,000. Chosen and fitted
 * on the 14 published models (bench/quick-suite.ts prints how; quick-fit.ts computes it). Six to ten tasks and penalties of 30
 * to 1,000 give errors of 0.4 to 0.63 points where the tasks are chosen anew: the differences between them mean little.
 *
 * What the errors say: leaving one of the 14 out errs by half a point, but they are one family, and each has siblings in the fit.
 * Fitted on one generation, the other is missed by 0.9 and 1.2 points, nearly all of it one-sided. Of 121 other models that
 * open_clip published (open-clip-results.ts), those between 58 and 68 % are missed by 1.2 and most are overrated; weaker ones are missed by 1.7.
 * Predictions have these larger errors. A model that was trained on one of the ten tasks is overrated further.
 */
import { mainMetricOf, type ScoredTask } from "./averages.ts"
import { applyFit, averageOf, publishedScores } from "./quick-fit.ts"
import { findTask } from "./tasks.ts"

interface QuickTask {
  readonly key: string
  /** Pictures, spread evenly over the data (`isSampled`). */
  readonly samples: number
  /** What a point of its main metric adds to the average. */
  readonly weight: number
}

/** In the order in which they were chosen. */
export const quickTasks: readonly QuickTask[] = [
  { key: "vtab/cifar100", samples: 2900, weight: 0.199163 },
  { key: "vtab/pcam", samples: 1200, weight: 0.058624 },
  { key: "renderedsst2", samples: 800, weight: 0.039382 },
  { key: "vtab/kitti_closest_vehicle_distance", samples: 711, weight: 0.034083 },
  { key: "vtab/clevr_closest_object_distance", samples: 700, weight: 0.041262 },
  { key: "country211", samples: 700, weight: 0.039922 },
  { key: "food101", samples: 2600, weight: 0.225129 },
  { key: "gtsrb", samples: 2300, weight: 0.116321 },
  { key: "vtab/clevr_count_all", samples: 800, weight: 0.041822 },
  { key: "vtab/dtd", samples: 1880, weight: 0.155585 },
]

export const quickIntercept = 0.009645

/** Root mean squares of what the average differs from the predicted one, 0..1, on all pictures. */
export const quickErrors = {
  /** Leaving one of the 14 published models out; the ten tasks are chosen anew each time, without it: for a sibling of the others. */
  chosenAnew: 0.004991,
  /** The ten tasks are those above, which were chosen with the model among the 14: too good. */
  chosenOnce: 0.002783,
  /** Other models, none of which was fitted on, in the range of the 14. */
  otherModels: 0.011495,
  /** Other models below it. */
  weakerModels: 0.016797,
} as const

export interface AveragePrediction {
  /** The average over the 38, 0..1. */
  readonly average: number
  /** One standard error, 0..1: of the prediction (`quickErrors`, for a model that is not one of the 14) and of the samples together. */
  readonly error: number
  /** That of the samples alone: binomial, 0 where all pictures were seen. */
  readonly sampleError: number
  /** The average is outside of those of the 14 models by more than the error. */
  readonly extrapolates: boolean
}

/** A result of the quick suite, or of the whole one. */
interface QuickResult extends ScoredTask {
  /** Without it the pictures are as many as `quickTasks` says. */
  readonly details?: { readonly answers: number }
}

/** Null while one of the ten tasks is missing. Other results are not read. */
export function predictAverage(results: readonly QuickResult[]): AveragePrediction | null {
  const found = quickTasks.flatMap((task) => {
    const result = results.find(({ key }) => key === task.key)
    const score = result ? mainMetricOf(result) : null
    return score === null ? [] : [{ ...task, score, answers: result?.details?.answers ?? task.samples }]
  })
  if (found.length < quickTasks.length) return null
  const weights = Object.fromEntries(found.map(({ key, weight }) => [key, weight]))
  const scores = Object.fromEntries(found.map(({ key, score }) => [key, score]))
  const average = applyFit({ intercept: quickIntercept, weights }, scores)
  const sampleError = Math.hypot(...found.map(errorOfSamples))
  const known = publishedScores.map(averageOf)
  const ofModel = average < Math.min(...known) ? quickErrors.weakerModels : quickErrors.otherModels
  const error = Math.hypot(ofModel, sampleError)
  const extrapolates = average < Math.min(...known) - error || average > Math.max(...known) + error
  return { average, error, sampleError, extrapolates }
}

/** What a task's samples, drawn without replacement, add to the error of the average. */
function errorOfSamples({ key, weight, score, answers }: QuickTask & { score: number; answers: number }): number {
  const size = findTask(key)!.size!
  return weight * Math.sqrt(score * (1 - score) * Math.max(0, 1 / answers - 1 / size))
}

/** Whether picture `index` of `size` is among `samples` that are spread evenly over them: data are often in order of classes. */
export function isSampled(index: number, size: number, samples: number): boolean {
  return samples >= size || Math.floor(((index + 1) * samples) / size) > Math.floor((index * samples) / size)
}
