/** What one task gave for one model: a line of `results.jsonl`, in the shape of the published result files. */

import { z } from "zod"
import type { Metrics } from "../../evaluate/metrics/metrics.ts"

export interface TaskResult {
  readonly key: string
  /** The task's name for people. */
  readonly dataset: string
  /** With `main_metric`, which is null for tasks that are never averaged. */
  readonly metrics: Metrics
  /** What the published files do not have; readers of those files skip it. */
  readonly details?: TaskDetails
}

export interface TaskDetails {
  readonly kind: string
  readonly mainMetric: string | null
  /** Scored answers: pictures, or queries in both directions for retrieval. */
  readonly answers: number
  readonly images: number
  readonly classes: number | null
  /** Main metric of guessing, where known. */
  readonly chance: number | null
  readonly seconds: number
  /** Pictures whose vectors were taken from the cache. */
  readonly cachedImages: number
}

/** What a line must be, whoever wrote it. */
export const taskResultSchema = z
  .object({
    key: z.string().min(1),
    dataset: z.string().optional(),
    metrics: z.record(z.string(), z.number().nullable()),
    details: z
      .object({
        kind: z.string(),
        mainMetric: z.string().nullable(),
        answers: z.int().nonnegative(),
        images: z.int().nonnegative(),
        classes: z.int().nullable(),
        chance: z.number().nullable(),
        seconds: z.number().default(0),
        cachedImages: z.number().default(0),
      })
      .optional(),
  })
  .transform(
    ({ key, dataset = key, metrics, details }): TaskResult => ({ key, dataset, metrics, ...(details && { details }) }),
  )
