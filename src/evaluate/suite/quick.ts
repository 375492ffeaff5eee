/** The quick suite: few tasks and pictures, from which the average over the 38 is predicted. */

export interface QuickTask {
  readonly key: string
  /** Pictures, spread evenly over the data (`isSampled`). */
  readonly samples: number
}

export interface AveragePrediction {
  /** The average over the 38, 0..1. */
  readonly average: number
  /** One standard error, 0..1: of the prediction and of the samples. */
  readonly error: number
  /** The model is outside of the range of the 14 it was fitted on. */
  readonly extrapolates: boolean
}

export declare const quickTasks: readonly QuickTask[]

/** Null while one of the tasks is missing. Scores are main metrics by key. */
export declare function predictAverage(scores: Readonly<Record<string, number>>): AveragePrediction | null

/** Whether picture `index` of `size` is among `samples` that are spread evenly over them. */
export function isSampled(index: number, size: number, samples: number): boolean {
  return samples >= size || Math.floor(((index + 1) * samples) / size) > Math.floor((index * samples) / size)
}
