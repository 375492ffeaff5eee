/** What an evaluation has at hand while it goes through its tasks. */
import { noProgress, type Progress, type StartProgress } from "../../core/progress.ts"
import { labelProgress } from "../../core/text/label-progress.ts"
import type { SuiteTask } from "../../evaluate/suite/suite-task.ts"
import type { PicturePool } from "../../pictures/picture-pool.ts"
import type { VectorCache } from "../../vector-cache/vector-cache.ts"
import type { BenchmarkDataset } from "../layout/benchmark-dataset.ts"
import { type Pass, passOver, type Sampling, type Taker } from "../pictures/picture-vectors.ts"
import type { AnswerTable } from "./answer-table.ts"
import type { EvaluatedModel } from "./evaluated-model.ts"
import type { LabelOptions } from "./label-classifier.ts"
import type { ResultsFolder } from "./results-folder.ts"
import type { Question } from "./scorers.ts"
import type { TaskResult } from "./task-result.ts"

/** A row of a suite, and how many of its samples are taken. */
export interface EvaluationTask extends SuiteTask {
  /** Spread evenly over the data; default: all. */
  readonly samples?: number
}

/** The data of a task, or null where they are not there. Throws UserError where they are not in order. */
export type OpenTask = (task: EvaluationTask, split: string) => Promise<BenchmarkDataset | null>

/** What is put on top of frozen vectors. */
export interface ProbeSettings {
  /** Whether a classifier is fitted to the whole training split. */
  readonly linear: boolean
  /** Numbers of pictures of each class that classifiers are fitted to. */
  readonly shots: readonly number[]
  /** How often such pictures are drawn. */
  readonly seeds: number
}

export interface Job {
  readonly open: OpenTask
  /** The root of the data. */
  readonly data: string
  readonly pool: PicturePool
  readonly cache: VectorCache | null
  readonly batchSize: number
  /** Whether progress names the model too. */
  readonly severalModels: boolean
  readonly picturesPerTask?: number | undefined
  readonly templates?: readonly string[] | undefined
  readonly classNames?: readonly string[] | undefined
  /** In place of zero-shot answers. */
  readonly probe?: ProbeSettings | undefined
  readonly startProgress?: StartProgress | undefined
  readonly say?: ((line: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** One of the models, and what is known of it so far. */
export interface Run {
  readonly model: EvaluatedModel
  readonly folder: ResultsFolder | null
  readonly results: Map<string, TaskResult>
}

export interface Scored {
  readonly run: Run
  readonly result: TaskResult
  readonly answers: AnswerTable | null
}

export function questionOf(task: EvaluationTask, dataset: BenchmarkDataset, job: Job): Question {
  return {
    ...{ kind: task.kind, location: dataset.location, groups: dataset.groups },
    classNames: job.classNames ?? dataset.classNames,
    templates: job.templates ?? dataset.templates,
  }
}

/** With progress that names the task. */
export function labelOptions({ key }: EvaluationTask, { model }: Run, job: Job): LabelOptions {
  const { cache, signal, say, startProgress = noProgress } = job
  const name = job.severalModels ? `${key}, ${model.name}` : key
  return { cache, signal, ...labelProgress(name, { startProgress, say: (line) => say?.(`${name}: ${line}`) }) }
}

/** The pictures of a task, for all takers, with progress that names it. */
export async function passOverTask(
  task: EvaluationTask,
  dataset: BenchmarkDataset,
  takers: readonly Taker[],
  job: Job,
): Promise<Pass> {
  const { pool, cache, signal, batchSize, startProgress = noProgress } = job
  const sampling = dataset.split === "test" ? samplingOf(task, job) : null
  // An association has several pictures for each of its samples.
  const total = task.kind === "association" || dataset.split !== "test" ? 0 : (sampling?.count ?? task.size ?? 0)
  let progress: Progress | null = null
  const onPictures = (done: number) => {
    progress ??= startProgress(task.key, total, { unit: "pictures" })
    progress.update(done)
  }
  const distinct = task.kind === "association"
  const pass = await passOver(dataset, takers, { pool, cache, signal, batchSize, sampling, distinct, onPictures })
  ;(progress as Progress | null)?.done()
  return pass
}

function samplingOf({ samples, size }: EvaluationTask, { picturesPerTask }: Job): Sampling | null {
  const counts = [samples, picturesPerTask].filter((count) => count !== undefined)
  const count = Math.min(...counts)
  return counts.length === 0 || (size !== null && count >= size) ? null : { count, size }
}

export function secondsSince(begun: number): number {
  return (performance.now() - begun) / 1000
}

/** For results: thousandths are enough. */
export function roundedSeconds(seconds: number): number {
  return Math.round(1000 * seconds) / 1000
}
