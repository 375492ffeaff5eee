/**
 * Groups of tasks and their averages, as datacomp's aggregate_scores.py computes them, and a second average without FMoW's
 * region of four pictures: one answer in it can be worth 0.66 points of the official one.
 */
import { worstRegionWithoutOther } from "../metrics/groups.ts"
import type { Metrics } from "../metrics/metrics.ts"
import { findTask, suiteTasks } from "./tasks.ts"

/** What is needed of a result. */
export interface ScoredTask {
  readonly key: string
  readonly metrics: Metrics
}

export interface TaskGroup {
  readonly name: string
  readonly keys: readonly string[]
  /** FMoW's worst region is the worst of the five with more than four pictures. */
  readonly withoutOther?: true
}

const counted = suiteTasks.filter((task) => task.counted).map(({ key }) => key)

/** The name of the official average. */
export const officialAverage = "Average"

export const taskGroups: readonly TaskGroup[] = [
  { name: "ImageNet", keys: ["imagenet1k"] },
  {
    name: "ImageNet dist. shifts",
    keys: ["imagenet_sketch", "imagenetv2", "imagenet-a", "imagenet-o", "imagenet-r", "objectnet"],
  },
  { name: "VTAB", keys: counted.filter((key) => key.startsWith("vtab/") || key === "sun397") },
  { name: "Retrieval", keys: counted.filter((key) => /^retrieval\/|^misc\/winogavil$/.test(key)) },
  { name: officialAverage, keys: counted },
  { name: "Average, FMoW without its region of four pictures", keys: counted, withoutOther: true },
]

export interface GroupAverage {
  readonly group: TaskGroup
  /** Plain mean of the main metrics, 0..1; null while tasks are missing. */
  readonly average: number | null
  /** Keys without a main metric. */
  readonly missing: readonly string[]
}

/** The average of each group over a model's results. */
export function groupAverages(results: readonly ScoredTask[]): GroupAverage[] {
  const byKey = new Map(results.map((result) => [result.key, result.metrics]))
  return taskGroups.map((group) => {
    const scores = group.keys.map((key) => scoreIn(group, key, byKey.get(key)))
    const missing = group.keys.filter((_, i) => scores[i] === null)
    const sum = scores.reduce<number>((total, score) => total + (score ?? 0), 0)
    return { group, average: missing.length > 0 ? null : sum / scores.length, missing }
  })
}

/** The main metric of a result, or null: `main_metric` where the file has it, else what the row names. */
export function mainMetricOf({ key, metrics }: ScoredTask): number | null {
  const name = findTask(key)?.mainMetric
  return metrics.main_metric ?? (name ? (metrics[name] ?? null) : null)
}

function scoreIn(group: TaskGroup, key: string, metrics: Metrics | undefined): number | null {
  if (!metrics) return null
  if (group.withoutOther && key === "wilds/fmow")
    return metrics.acc_worst_region_without_other ?? worstRegionWithoutOther(metrics)
  return mainMetricOf({ key, metrics })
}
