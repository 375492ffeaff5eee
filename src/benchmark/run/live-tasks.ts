/** Tasks in the benchmark's layout for a model in training: a packed task, or a root of several, in place of a task list. */
import { readdir } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { basename, join, resolve } from "node:path"
import type { Encoder } from "../../core/inference/encoder.ts"
import { mainMetricOf } from "../../evaluate/suite/averages.ts"
import { allTasks } from "../../evaluate/suite/tasks.ts"
import { openTasks, type TaskList } from "../../evaluate/task-list.ts"
import { isDirectory } from "../../host/files/files.ts"
import { PicturePool } from "../../pictures/picture-pool.ts"
import type { BenchmarkDataset } from "../layout/benchmark-dataset.ts"
import { openDataset } from "../layout/open-dataset.ts"
import { selfSuite } from "../layout/self-suite.ts"
import { evaluateDefaults } from "./evaluate.ts"
import { encoderModel } from "./evaluated-model.ts"
import type { EvaluationTask, Job } from "./job.ts"
import { scoreTask } from "./score-task.ts"
import { ownRow } from "./suites.ts"

interface LiveTask {
  readonly task: EvaluationTask
  readonly dataset: BenchmarkDataset
}

/**
 * The tasks that lie in a folder in the benchmark's layout, itself or up to two folders below; any other path is what
 * `openTasks` takes. Scores are main metrics; tasks without one are passed over.
 *
 * @throws UserError where there is neither, or the files beside the shards are not in order
 */
export async function openLiveTasks(path: string): Promise<TaskList> {
  const places = (await isDirectory(path)) ? await placesIn(path) : []
  if (places.length === 0) return openTasks(path)
  const all: LiveTask[] = []
  for (const place of places) all.push(await liveTask(path, place))
  const tasks = all.filter(({ task }) => task.mainMetric !== null)
  return {
    chance: Object.fromEntries(tasks.map(({ task, dataset }) => [task.key, chanceOf(task, dataset)])),
    notes: all.flatMap(({ dataset }) => dataset.notes),
    score: (encoder) => scoresOf(tasks, encoder, path),
  }
}

/** Paths below the root that have a test split: "." for itself. */
async function placesIn(root: string): Promise<string[]> {
  if (await isTask(root)) return ["."]
  const below = async (folder: string) => {
    const entries = await readdir(join(root, folder), { withFileTypes: true })
    return entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
      .map(({ name }) => name)
      .sort()
  }
  const found: string[] = []
  for (const name of await below(".")) {
    if (await isTask(join(root, name))) found.push(name)
    else
      for (const inner of await below(name)) if (await isTask(join(root, name, inner))) found.push(`${name}/${inner}`)
  }
  return found
}

async function isTask(folder: string): Promise<boolean> {
  return (await readdir(join(folder, "test")).catch((): string[] => [])).includes("nshards.txt")
}

async function liveTask(root: string, place: string): Promise<LiveTask> {
  const row = [...allTasks, ...selfSuite].find(({ folders }) => folders.includes(place))
  if (row) return { task: row, dataset: await openDataset(root, row) }
  const dataset = await openDataset(root, place)
  return { task: ownRow(place === "." ? basename(resolve(root)) : place, dataset.kind), dataset }
}

/** Who guesses finds next to nothing among many captions. */
function chanceOf({ chance, kind }: EvaluationTask, { classNames }: BenchmarkDataset): number {
  return chance ?? (kind === "classification" && classNames ? 1 / classNames.length : 0)
}

async function scoresOf(tasks: readonly LiveTask[], encoder: Encoder, data: string): Promise<Record<string, number>> {
  await using pool = new PicturePool(Math.floor(availableParallelism() / 4))
  const job: Job = {
    ...{ open: async () => null, data, pool, cache: null, severalModels: false },
    batchSize: evaluateDefaults.batchSize,
  }
  const run = { model: encoderModel("the model", "live", encoder), folder: null, results: new Map() }
  const scores: Record<string, number> = {}
  for (const { task, dataset } of tasks) {
    const [scored] = await scoreTask(task, dataset, [run], job)
    scores[task.key] = mainMetricOf(scored!.result) ?? 0
  }
  return scores
}
