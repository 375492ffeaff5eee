/** Accuracy by the groups that one's own data name in `groups.json`. */
import { accuracyByGroup } from "../../evaluate/metrics/groups.ts"
import type { Metrics } from "../../evaluate/metrics/metrics.ts"
import { hitsAt } from "../../evaluate/metrics/predictions.ts"
import type { TaskAnswers } from "../../evaluate/metrics/task-metrics.ts"
import type { SuiteTask } from "../../evaluate/suite/suite-task.ts"
import type { GroupColumn } from "../layout/benchmark-dataset.ts"

/**
 * The metrics with, for each column, `acc_<column>:<group>`, `count_<column>:<group>` and the worst group's accuracy,
 * `acc_wg` for the first column and `acc_worst_<column>` for others. Rows that say how groups are scored stay as they are.
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
