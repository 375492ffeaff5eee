/** Zero-shot answers to one task, for several models in one pass. */
import { accuracyByGroup } from "../../evaluate/metrics/groups.ts"
import type { Metrics } from "../../evaluate/metrics/metrics.ts"
import { hitsAt } from "../../evaluate/metrics/predictions.ts"
import { metricsOf, type TaskAnswers } from "../../evaluate/metrics/task-metrics.ts"
import type { SuiteTask } from "../../evaluate/suite/suite-task.ts"
import type { BenchmarkDataset, GroupColumn } from "../layout/benchmark-dataset.ts"
import type { PictureRecord } from "../pictures/encode-pictures.ts"
import type { Pass } from "../pictures/picture-vectors.ts"
import { answerTable } from "./answer-table.ts"
import {
  type EvaluationTask,
  type Job,
  labelOptions,
  passOverTask,
  questionOf,
  type Run,
  roundedSeconds,
  type Scored,
  secondsSince,
} from "./job.ts"
import { openScorer, type Question, type Scorer } from "./scorers.ts"

interface Taking {
  readonly run: Run
  readonly scorer: Scorer
  /** What this model alone took. */
  readonly seconds: number
}

/** @throws UserError where the data are at fault; the signal's reason */
export async function scoreTask(
  task: EvaluationTask,
  dataset: BenchmarkDataset,
  pending: readonly Run[],
  job: Job,
): Promise<Scored[]> {
  const question = questionOf(task, dataset, job)
  const takings: Taking[] = []
  for (const run of pending) {
    const begun = performance.now()
    const scorer = await openScorer(run.model, question, labelOptions(task, run, job))
    takings.push({ run, scorer, seconds: secondsSince(begun) })
  }
  const begun = performance.now()
  const takers = takings.map(({ run, scorer }) => ({
    model: run.model,
    add: (vectors: Float32Array) => scorer.add(vectors),
  }))
  const pass = await passOverTask(task, dataset, takers, job)
  const shared = secondsSince(begun)
  const scored: Scored[] = []
  for (const taking of takings) scored.push(await finish(task, question, taking, pass, shared))
  return scored
}

async function finish(
  task: EvaluationTask,
  { classNames, groups }: Question,
  { run, scorer, seconds }: Taking,
  { records, pictures, cached }: Pass,
  shared: number,
): Promise<Scored> {
  const begun = performance.now()
  const given = await scorer.finish(records)
  const metrics = withOwnGroups(task, metricsOf(task, given), given, groups)
  const answers = answerTable(task.mainMetric, given, records)
  const classes = classNames && task.kind !== "attributes" ? classNames.length : null
  const details = {
    ...{ kind: task.kind, mainMetric: task.mainMetric, answers: answers.answers, images: pictures, classes },
    chance: task.chance ?? chanceOf(task, classes, records),
    seconds: roundedSeconds(seconds + shared + secondsSince(begun)),
    cachedImages: cached.has(run.model) ? pictures : 0,
  }
  return { run, answers, result: { key: task.key, dataset: task.name, metrics, details } }
}

/** The accuracy of guessing. In the worst of several groups it is lower, by how much is not known. */
function chanceOf(
  { kind, mainMetric }: SuiteTask,
  classes: number | null,
  records: readonly PictureRecord[],
): number | null {
  if (mainMetric === "acc1" || mainMetric === "mean_per_class_recall") return classes && 1 / classes
  if (kind === "caption-selection")
    return records.reduce((sum, { texts }) => sum + 1 / texts.length, 0) / records.length
  return null
}

/**
 * The metrics with accuracy by the groups that one's own data name: for each column `acc_<column>:<group>`,
 * `count_<column>:<group>` and the worst group's accuracy, `acc_wg` for the first column and `acc_worst_<column>` for others.
 * Rows that say how groups are scored stay as they are.
 */
export function withOwnGroups(
  { groupMetrics, mainMetric }: Pick<SuiteTask, "groupMetrics" | "mainMetric">,
  metrics: Metrics,
  answers: TaskAnswers,
  groups: readonly GroupColumn[] | null,
): Metrics {
  if (groupMetrics || !groups || answers.kind !== "classification" || !answers.metadata) return metrics
  const hits = hitsAt(answers.predictions, 1)
  const fields = groups.map(({ name }) => name)
  const { main_metric = null, ...own } = metrics
  const all: Record<string, number | null> = { ...own }
  for (const [i, field] of fields.entries()) {
    const { acc_avg, acc_wg, ...each } = accuracyByGroup("acc", hits, answers.metadata, fields, [field])
    Object.assign(all, each, { acc_avg, [i === 0 ? "acc_wg" : `acc_worst_${field}`]: acc_wg })
  }
  return { ...all, main_metric: main_metric ?? (mainMetric === null ? null : (all[mainMetric] ?? null)) }
}
