/**
 * The suite for several models: task by task, each picture decoded once for all of them. A task that fails is named, and the
 * others go on; a task that is done is on the disk, so a run that ended goes on where it was.
 */
import { join, resolve } from "node:path"
import { UserError } from "../../core/errors.ts"
import type { StartProgress } from "../../core/progress.ts"
import { lockFolder } from "../../host/locks/lock.ts"
import { usableProcessors } from "../../host/processors.ts"
import { PicturePool } from "../../pictures/picture-pool.ts"
import { defaultCacheFolder, VectorCache } from "../../vector-cache/vector-cache.ts"
import { probeKeys, probeTask } from "../probe/probe-task.ts"
import { type EvaluatedModel, type ModelFacts, noFacts } from "./evaluated-model.ts"
import type { EvaluationTask, Job, OpenTask, ProbeSettings, Run, Scored } from "./job.ts"
import { type EvaluationSettings, ResultsFolder, reasonOf } from "./results-folder.ts"
import { scoreTask } from "./score-task.ts"
import type { TaskResult } from "./task-result.ts"

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
  /** Threads that decode beside the models; 0: the system's own few do. Default: those of models on a processor. */
  readonly decodeThreads?: number
  /** Samples of each task. */
  readonly picturesPerTask?: number
  /** In place of those beside the data. */
  readonly templates?: readonly string[]
  readonly classNames?: readonly string[]
  /** Where vectors are kept; null: nowhere. Default: in this program's cache. */
  readonly cache?: VectorCache | string | null
  /** In place of zero-shot answers. */
  readonly probe?: ProbeSettings
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
  await using pool = new PicturePool(options.decodeThreads ?? defaultDecodeThreads())
  const { batchSize = evaluateDefaults.batchSize, probe } = options
  const job: Job = { ...options, pool, cache: cacheOf(options), batchSize, severalModels: models.length > 1 }
  const keysOf = (task: EvaluationTask) => (probe ? probeKeys(task, probe) : [task.key])
  const [failures, absent]: [TaskProblem[], TaskProblem[]] = [[], []]
  for (const task of tasks) {
    signal?.throwIfAborted()
    const pending = runs.filter(({ results }) => keysOf(task).some((key) => !results.has(key)))
    const outcome = pending.length === 0 ? [] : await outcomeOf(task, pending, job)
    if ("reason" in outcome) (outcome.isAbsent ? absent : failures).push({ key: task.key, reason: outcome.reason })
    else for (const scored of outcome) await record(scored, runs, options)
  }
  await job.cache?.trim()
  return { models: runs.map((run) => resultsOf(run, tasks.flatMap(keysOf))), failures, absent }
}

/** Models on a processor use it up, and more threads would only take their time; beside a GPU it is there for the pictures. */
export function defaultDecodeThreads(device: "cpu" | "cuda" = "cpu", processors = usableProcessors().count): number {
  return device === "cpu" ? Math.floor(processors / 4) : Math.max(1, processors - 1)
}

function cacheOf({ cache = defaultCacheFolder(), say }: EvaluateOptions): VectorCache | null {
  return typeof cache === "string" ? new VectorCache(cache, say ? { onNote: say } : {}) : cache
}

// ---------------------------------------------------------------------------------------------------- runs of models

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

async function record({ run, result, answers }: Scored, runs: readonly Run[], options: EvaluateOptions): Promise<void> {
  await run.folder?.add(result, answers)
  run.results.set(result.key, result)
  options.onResult?.(result, runs.indexOf(run))
}

function resultsOf({ model, folder, results }: Run, keys: readonly string[]): ModelResults {
  const found = keys.flatMap((key) => results.get(key) ?? [])
  return { name: model.name, folder: folder?.path ?? null, results: found }
}

// ------------------------------------------------------------------------------------------------------- one task

type Outcome = readonly Scored[] | { readonly reason: string; readonly isAbsent: boolean }

async function outcomeOf(task: EvaluationTask, pending: readonly Run[], job: Job): Promise<Outcome> {
  try {
    const dataset = await job.open(task, "test")
    if (!dataset) return { reason: `not in ${job.data}: looked for ${task.folders.join(", ")}`, isAbsent: true }
    const scored = job.probe
      ? await probeTask(task, dataset, pending, job, job.probe)
      : await scoreTask(task, dataset, pending, job)
    for (const note of dataset.notes) job.say?.(note)
    return scored
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return { reason: reasonOf(error), isAbsent: false }
  }
}
