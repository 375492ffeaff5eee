/**
 * The suite for several models: task by task, each picture decoded once for all of them. A task that fails is named, and the
 * others go on; a task that is done is on the disk, so a run that ended goes on where it was.
 */
import { availableParallelism } from "node:os"
import { join, resolve } from "node:path"
import { UserError } from "../../core/errors.ts"
import { noProgress, type Progress, type StartProgress } from "../../core/progress.ts"
import { metricsOf } from "../../evaluate/metrics/task-metrics.ts"
import type { SuiteTask } from "../../evaluate/suite/suite-task.ts"
import { lockFolder } from "../../host/locks/lock.ts"
import { defaultCacheFolder, VectorCache } from "../cache/vector-cache.ts"
import type { BenchmarkDataset } from "../layout/benchmark-dataset.ts"
import { type AnswerTable, answerTable } from "./answer-table.ts"
import type { PictureRecord } from "./encode-pictures.ts"
import { type EvaluatedModel, type ModelFacts, noFacts } from "./evaluated-model.ts"
import type { LabelOptions } from "./label-classifier.ts"
import { withOwnGroups } from "./own-groups.ts"
import { PicturePool } from "./picture-pool.ts"
import { type Pass, type PassOptions, passOver, type Sampling } from "./picture-vectors.ts"
import { type EvaluationSettings, ResultsFolder, reasonOf } from "./results-folder.ts"
import { openScorer, type Question, type Scorer } from "./scorers.ts"
import type { TaskResult } from "./task-result.ts"

/** A row of a suite, and how many of its samples are taken. */
export interface EvaluationTask extends SuiteTask {
  /** Spread evenly over the data; default: all. */
  readonly samples?: number
}

/** The data of a task, or null where they are not there. Throws UserError where they are not in order. */
export type OpenTask = (task: EvaluationTask, split: string) => Promise<BenchmarkDataset | null>

export interface EvaluateOptions {
  readonly models: readonly EvaluatedModel[]
  /** What is known of them, in their order; for `evaluation.json`. */
  readonly facts?: readonly ModelFacts[]
  /** The root of the data, a folder or a URL; for `evaluation.json`, and to see that a run goes on with the same data. */
  readonly data: string
  readonly open: OpenTask
  readonly tasks: readonly EvaluationTask[]
  /** For `evaluation.json`. */
  readonly suite?: string
  /** A folder for results: with one model its own, else of a folder for each. Default: nothing is written. */
  readonly out?: string
  /** Pictures that a model takes at a time. */
  readonly batchSize?: number
  /** Threads that decode beside the models; 0: the system's own few do. */
  readonly decodeThreads?: number
  /** Samples of each task. */
  readonly picturesPerTask?: number
  /** In place of those beside the data. */
  readonly templates?: readonly string[]
  readonly classNames?: readonly string[]
  /** Where vectors are kept; null: nowhere. Default: in this program's cache. */
  readonly cache?: VectorCache | string | null
  readonly startProgress?: StartProgress
  /** Is given what a user should know, a line at a time. */
  readonly say?: (line: string) => void
  /** Is told each result as it is there; `place` is the model's. */
  readonly onResult?: (result: TaskResult, place: number) => void
  readonly signal?: AbortSignal | undefined
}

export const evaluateDefaults = { batchSize: 32, suite: "own" } as const satisfies Partial<EvaluateOptions>

export interface ModelResults {
  readonly name: string
  /** Null where nothing is written. */
  readonly folder: string | null
  /** In the order of the tasks; those that were done before too. */
  readonly results: readonly TaskResult[]
}

export interface TaskProblem {
  readonly key: string
  /** In one line. */
  readonly reason: string
}

export interface EvaluationReport {
  /** In the order that was given. */
  readonly models: readonly ModelResults[]
  /** Tasks that failed. */
  readonly failures: readonly TaskProblem[]
  /** Tasks whose data are not at the root. */
  readonly absent: readonly TaskProblem[]
}

/**
 * @throws UserError where the output belongs to another evaluation or process, two models have one name, or nothing is to be
 *   done; the signal's reason, after the current batch
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationReport> {
  const { tasks, models, out, signal } = options
  if (models.length === 0 || tasks.length === 0) throw new UserError("an evaluation needs a model and a task")
  using _lock = out === undefined ? null : await lockFolder(out, "mobileclip evaluate", signal)
  const runs = await openRuns(options)
  await using pool = new PicturePool(options.decodeThreads ?? defaultThreads())
  const job: Job = { ...options, pool, cache: cacheOf(options) }
  const [failures, absent]: [TaskProblem[], TaskProblem[]] = [[], []]
  for (const task of tasks) {
    signal?.throwIfAborted()
    const pending = runs.filter((run) => !run.results.has(task.key))
    const outcome = pending.length === 0 ? [] : await outcomeOf(task, pending, job)
    if ("reason" in outcome) (outcome.isAbsent ? absent : failures).push({ key: task.key, reason: outcome.reason })
    else for (const scored of outcome) await record(scored, runs, options)
  }
  await job.cache?.trim()
  return { models: runs.map((run) => resultsOf(run, tasks)), failures, absent }
}

/** On a processor that a model uses up, more threads would only take its time. */
function defaultThreads(): number {
  return Math.floor(availableParallelism() / 4)
}

interface Job extends Omit<EvaluateOptions, "cache"> {
  readonly pool: PicturePool
  readonly cache: VectorCache | null
}

function cacheOf({ cache = defaultCacheFolder(), say }: EvaluateOptions): VectorCache | null {
  return typeof cache === "string" ? new VectorCache(cache, say ? { onNote: say } : {}) : cache
}

// ---------------------------------------------------------------------------------------------------- runs of models

interface Run {
  readonly model: EvaluatedModel
  readonly folder: ResultsFolder | null
  readonly results: Map<string, TaskResult>
}

async function openRuns(options: EvaluateOptions): Promise<Run[]> {
  const { models, facts = [], out } = options
  const names = folderNames(models)
  const runs: Run[] = []
  for (const [i, model] of models.entries()) {
    const path = out === undefined ? null : models.length === 1 ? out : join(out, names[i]!)
    const evaluation = evaluationOf(model, facts[i] ?? noFacts, options)
    const folder = path === null ? null : await ResultsFolder.open(path, evaluation)
    runs.push({ model, folder, results: new Map((folder?.done ?? []).map((result) => [result.key, result])) })
  }
  return runs
}

function evaluationOf(model: EvaluatedModel, facts: ModelFacts, options: EvaluateOptions) {
  const { data, suite = evaluateDefaults.suite, templates, classNames, picturesPerTask } = options
  const settings: EvaluationSettings = {
    ...(templates && { templates }),
    ...(classNames && { classNames }),
    ...(picturesPerTask !== undefined && { picturesPerTask }),
  }
  return {
    ...({ format: "mobileclip-evaluation", version: 1 } as const),
    model: { name: model.name, identity: model.identity, ...facts },
    ...{ data: /^\w+:\/\//.test(data) ? data : resolve(data), suite, settings },
  }
}

/** Names of folders; the second of the same name has a number. */
function folderNames(models: readonly EvaluatedModel[]): string[] {
  const taken = new Set<string>()
  return models.map(({ name }) => {
    const plain = name.replaceAll(/[^\w.@+-]+/g, "-").replace(/^\.+/, "") || "model"
    let [unique, number] = [plain, 1]
    while (taken.has(unique.toLowerCase())) unique = `${plain}-${++number}`
    taken.add(unique.toLowerCase())
    return unique
  })
}

interface Scored {
  readonly run: Run
  readonly result: TaskResult
  readonly answers: AnswerTable
}

async function record({ run, result, answers }: Scored, runs: readonly Run[], options: EvaluateOptions): Promise<void> {
  await run.folder?.add(result, answers)
  run.results.set(result.key, result)
  options.onResult?.(result, runs.indexOf(run))
}

function resultsOf({ model, folder, results }: Run, tasks: readonly EvaluationTask[]): ModelResults {
  const found = tasks.flatMap(({ key }) => results.get(key) ?? [])
  return { name: model.name, folder: folder?.path ?? null, results: found }
}

// ------------------------------------------------------------------------------------------------------- one task

type Outcome = readonly Scored[] | { readonly reason: string; readonly isAbsent: boolean }

async function outcomeOf(task: EvaluationTask, pending: readonly Run[], job: Job): Promise<Outcome> {
  try {
    const dataset = await job.open(task, "test")
    if (!dataset) return { reason: `not in ${job.data}: looked for ${task.folders.join(", ")}`, isAbsent: true }
    return await scoreTask(task, dataset, pending, job)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return { reason: reasonOf(error), isAbsent: false }
  }
}

interface Taking {
  readonly run: Run
  readonly scorer: Scorer
  /** Of this model alone. */
  seconds: number
}

async function scoreTask(
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
  const pass = await picturePass(task, dataset, question, takings, job)
  const shared = secondsSince(begun)
  const scored: Scored[] = []
  for (const taking of takings) scored.push(await finish(task, question, taking, pass, shared))
  for (const note of dataset.notes) job.say?.(note)
  return scored
}

function questionOf(task: EvaluationTask, dataset: BenchmarkDataset, job: Job): Question {
  return {
    ...{ kind: task.kind, location: dataset.location, groups: dataset.groups },
    classNames: job.classNames ?? dataset.classNames,
    templates: job.templates ?? dataset.templates,
  }
}

function labelOptions({ key }: EvaluationTask, { model }: Run, job: Job): LabelOptions {
  const { cache, signal, startProgress = noProgress, models } = job
  let progress: Progress | null = null
  const onPrompts = (done: number, total: number) => {
    progress ??= startProgress(models.length > 1 ? `${key}, ${model.name}` : key, total, { unit: "texts" })
    progress.update(done)
    if (done === total) progress.done()
  }
  return { cache, onPrompts, signal }
}

async function picturePass(
  task: EvaluationTask,
  dataset: BenchmarkDataset,
  { kind }: Question,
  takings: readonly Taking[],
  job: Job,
): Promise<Pass> {
  const { pool, cache, signal, startProgress = noProgress } = job
  const sampling = samplingOf(task, job)
  const total = Math.min(sampling?.count ?? Number.POSITIVE_INFINITY, task.size ?? Number.POSITIVE_INFINITY)
  let progress: Progress | null = null
  const onPictures = (done: number) => {
    // An association has several pictures for each of its samples.
    progress ??= startProgress(task.key, kind === "association" || !Number.isFinite(total) ? 0 : total, {
      unit: "pictures",
    })
    progress.update(done)
  }
  const options: PassOptions = {
    ...{ pool, cache, signal, sampling, onPictures },
    batchSize: job.batchSize ?? evaluateDefaults.batchSize,
    distinct: kind === "association",
  }
  const takers = takings.map(({ run, scorer }) => ({
    model: run.model,
    add: (vectors: Float32Array) => scorer.add(vectors),
  }))
  const pass = await passOver(dataset, takers, options)
  ;(progress as Progress | null)?.done()
  return pass
}

function samplingOf({ samples, size }: EvaluationTask, { picturesPerTask }: Job): Sampling | null {
  const counts = [samples, picturesPerTask].filter((count) => count !== undefined)
  const count = Math.min(...counts)
  return counts.length === 0 || (size !== null && count >= size) ? null : { count, size }
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
    seconds: Math.round(1000 * (seconds + shared + secondsSince(begun))) / 1000,
    cachedImages: cached.has(run.model) ? pictures : 0,
  }
  return { run, answers, result: { key: task.key, dataset: task.name, metrics, details } }
}

function chanceOf({ kind }: SuiteTask, classes: number | null, records: readonly PictureRecord[]): number | null {
  if (kind === "classification") return classes && 1 / classes
  if (kind === "caption-selection")
    return records.reduce((sum, { texts }) => sum + 1 / texts.length, 0) / records.length
  return null
}

function secondsSince(begun: number): number {
  return (performance.now() - begun) / 1000
}
