/** The quick suite: few tasks and pictures, from which the average over the 38 is predicted. */

export interface QuickTask {
  readonly key: string
  /** Pictures, spread evenly over the data. */
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

export const quickTasks: readonly QuickTask[] = []

/** Null while one of the tasks is missing. Scores are main metrics by key. */
export function predictAverage(_scores: Readonly<Record<string, number>>): AveragePrediction | null {
  return null
}
