/** Suites by name, and rows for tasks that no suite knows: one's own data. */
import { UserError } from "../../core/errors.ts"
import { nearestNames } from "../../core/nearest.ts"
import { quickTasks } from "../../evaluate/suite/quick.ts"
import type { SuiteTask, TaskKind } from "../../evaluate/suite/suite-task.ts"
import { allTasks, findTask, suiteTasks } from "../../evaluate/suite/tasks.ts"
import type { BenchmarkDataset } from "../layout/benchmark-dataset.ts"
import { selfSuite } from "../layout/self-suite.ts"
import type { EvaluationTask } from "./job.ts"

/**
 * `datacomp`: the 40 tasks of the published tables. `all`: those and further ones. `quick`: a few, with a share of their
 * samples, from which the average over 38 is predicted. `self`: rendered here, so that no data are needed.
 */
export const suiteNames = ["datacomp", "all", "quick", "self"] as const

export type SuiteName = (typeof suiteNames)[number]

export function suiteNamed(name: SuiteName): readonly EvaluationTask[] {
  switch (name) {
    case "datacomp":
      return suiteTasks
    case "all":
      return allTasks
    case "quick":
      return quickTasks.map(({ key, samples }) => ({ ...findTask(key)!, samples }))
    case "self":
      return selfSuite
    default:
      return name satisfies never
  }
}

/** Where a task that no suite knows is: its key is its folder below the root. */
type FindOwn = (key: string) => Promise<Pick<BenchmarkDataset, "kind"> | null>

/**
 * Rows for keys. One that no suite knows is scored by what its data say of themselves.
 *
 * @throws UserError with the nearest known keys for one that is neither known nor there
 */
export async function tasksNamed(keys: readonly string[], root: string, findOwn: FindOwn): Promise<EvaluationTask[]> {
  const tasks: EvaluationTask[] = []
  for (const key of new Set(keys)) tasks.push(knownTask(key) ?? (await ownTask(key, root, findOwn)))
  return tasks
}

function knownTask(key: string): SuiteTask | null {
  return findTask(key) ?? selfSuite.find((task) => task.key === key) ?? null
}

async function ownTask(key: string, root: string, findOwn: FindOwn): Promise<EvaluationTask> {
  const found = await findOwn(key)
  if (found) return ownRow(key, found.kind)
  const known = [...allTasks, ...selfSuite].map((task) => task.key)
  throw new UserError(
    `${key} is not a task of the suites, and ${root} has no task in a folder ${key}`,
    `nearest names: ${nearestNames(key, known).join(", ")}; one's own is named by its folder below the root: --data data --task my/birds is data/my/birds`,
  )
}

const mainMetrics: Readonly<Record<TaskKind, string | null>> = {
  classification: "acc1",
  attributes: null,
  multilabel: "mean_average_precision",
  retrieval: "mean_recall@1",
  "caption-selection": "acc",
  association: "avg_jaccard_score",
}

/** A task that is in no average. */
export function ownRow(key: string, kind: TaskKind): EvaluationTask {
  const unknown = { size: null, classes: null, chance: null }
  const groups = kind === "attributes" ? ({ groupMetrics: "fairface" } as const) : {}
  return {
    ...{ key, name: key, kind, mainMetric: mainMetrics[kind], folders: [key] },
    ...unknown,
    ...groups,
    counted: false,
  }
}
