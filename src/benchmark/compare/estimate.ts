/**
 * How sure a score is and what one answer is worth, from the metrics alone: for results without their answers. Where only a
 * bound is known it is said, and the interval is the widest.
 */
import { findTask } from "../../evaluate/suite/tasks.ts"
import type { TaskResult } from "../run/task-result.ts"
import { type Estimate, type Interval, meanInterval, wilson } from "./intervals.ts"

/** What a task's main metric is made of. */
export interface TaskFacts {
  readonly metric: string
  /** Scored answers, as the interval counts them: those that the main metric is over. */
  readonly answers: number
  /** Pictures, or instances. */
  readonly images: number
  readonly classes: number | null
  readonly chance: number | null
}

/** Captions of the published retrieval tasks, which their rows do not say; those of long captions have one a picture. */
const captions: Readonly<Record<string, number>> = {
  "retrieval/flickr_1k_test_image_text_retrieval": 5000,
  "retrieval/mscoco_2014_5k_test_image_text_retrieval": 25_010,
}

/** Pictures of the lowest incomes, the worst group of all published models; their table has no groups of this task. */
const lowestIncomes = { key: "fairness/dollar_street", answers: 856 } as const

/** Null where nothing says how many answers there were. */
export function factsOf({ key, metrics, details }: TaskResult): TaskFacts | null {
  const row = findTask(key)
  const metric = details ? details.mainMetric : (row?.mainMetric ?? null)
  const images = details?.images ?? row?.size ?? null
  if (metric === null || images === null) return null
  const isOfGroup = key === lowestIncomes.key && isWorstGroup(metric) && groupsOf(metric, metrics).length === 0
  const all = details?.answers ?? (isOfGroup ? lowestIncomes.answers : images + captionsOf(key, images))
  return {
    ...{ metric, images, answers: hasCandidates(metric) ? hardInstances(metrics, details?.answers ?? images) : all },
    classes: details?.classes ?? row?.classes ?? null,
    chance: details?.chance ?? row?.chance ?? null,
  }
}

function captionsOf(key: string, images: number): number {
  return captions[key] ?? (findTask(key)?.kind === "retrieval" ? images : 0)
}

function hasCandidates(metric: string): boolean {
  return metric === "jaccard_score_10-12"
}

/** Those with 10 or 12 candidates: the average over all is made of these and the others, whose averages are known too. */
function hardInstances(metrics: TaskResult["metrics"], instances: number): number {
  const [all, easy, hard] = ["avg_jaccard_score", "jaccard_score_5-6", "jaccard_score_10-12"].map(
    (name) => metrics[name],
  )
  if (all == null || easy == null || hard == null || easy === hard) return instances
  return Math.min(instances, Math.max(1, Math.round((instances * (easy - all)) / (easy - hard))))
}

// --------------------------------------------------------------------------------------------------- intervals

/** Null where the metric is none of those whose spread is known. */
export function binomialInterval(value: number, facts: TaskFacts, metrics: TaskResult["metrics"]): Interval | null {
  const { metric, answers, classes } = facts
  if (answers === 0) return null
  if (metric === "mean_recall@1") return recallInterval(facts, metrics)
  if (isWorstGroup(metric)) return worstInterval(groupsOf(metric, metrics)) ?? wilson(value, answers)
  // At most as wide as if each class had one picture.
  if (metric === "F1-macro_all") return classes === null ? null : wilson(value, classes)
  return /^acc|mean_per_class_recall|jaccard/.test(metric) ? wilson(value, answers) : null
}

/** What the interval takes for granted, in the words of a note; null: nothing that is not so. */
export function binomialCaveat(metric: string): string | null {
  if (metric === "mean_per_class_recall") return "as if all classes had the same number of pictures"
  if (metric === "F1-macro_all") return "as if each class had one picture, the widest it can be"
  if (metric === "jaccard_score_10-12") return "as if an answer were right or wrong, the widest it can be"
  if (isWorstGroup(metric)) return "from the lowest and highest scores that each group allows"
  return null
}

/** The two directions are independent here; captions of one picture are not quite. */
function recallInterval({ images, answers }: TaskFacts, metrics: TaskResult["metrics"]): Interval | null {
  const [toImage, toText] = [metrics["image_retrieval_recall@1"], metrics["text_retrieval_recall@1"]]
  if (toImage == null || toText == null || answers <= images) return null
  const estimate = (value: number, count: number): Estimate => ({ value, interval: wilson(value, count) })
  return meanInterval([estimate(toImage, answers - images), estimate(toText, images)])
}

function worstInterval(groups: readonly Group[]): Interval | null {
  const intervals = groups.map(({ share, answers }) => wilson(share, answers))
  if (intervals.length === 0) return null
  return { low: Math.min(...intervals.map(({ low }) => low)), high: Math.min(...intervals.map(({ high }) => high)) }
}

// ------------------------------------------------------------------------------------------------------ groups

export interface Group {
  /** `region:5` */
  readonly name: string
  readonly share: number
  readonly answers: number
}

export function isWorstGroup(metric: string): boolean {
  return /_(wg|worst_\w+)$/.test(metric)
}

/** The groups with pictures that a worst-group metric is the lowest of: `acc_worst_region` of those called `region:N`. */
export function groupsOf(metric: string, metrics: TaskResult["metrics"]): Group[] {
  const [, prefix, field = ""] = /^(.*)_(?:wg|worst_(\w+?))$/.exec(metric) ?? []
  return Object.entries(metrics).flatMap(([count, answers]) => {
    const name = /^count_(.+:\d+)$/.exec(count)?.[1]
    const share = name === undefined ? null : metrics[`${prefix}_${name}`]
    return name?.startsWith(field) && answers && share != null ? [{ name, share, answers }] : []
  })
}
