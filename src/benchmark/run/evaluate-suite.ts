/** An evaluation by names: models as users call them, a root of data, a suite. */

import { existsSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { UserError } from "../../core/errors.ts"
import { published } from "../../core/family/published.ts"
import { findVariant } from "../../core/family/variant-name.ts"
import type { VariantName } from "../../core/family/variants.ts"
import { manifestFile, parseManifest } from "../../core/inference/manifest.ts"
import type { Teacher } from "../../core/inference/teacher.ts"
import { openStorage } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import { readJson } from "../../host/files/files.ts"
import { onnxDtype, prepared, type RuntimeOptions } from "../../teachers/runtime.ts"
import { openTeachers } from "../../teachers/teachers.ts"
import { type FindOptions, findModelFiles, type ModelSource } from "../../weights/find-model.ts"
import type { BenchmarkDataset } from "../layout/benchmark-dataset.ts"
import { NoTask, openDataset, requireRoot } from "../layout/open-dataset.ts"
import { makeSelfSuite } from "../layout/self-suite.ts"
import { defaultDecodeThreads, type EvaluateOptions, type EvaluationReport, evaluate } from "./evaluate.ts"
import { type ModelFacts, noFacts } from "./evaluated-model.ts"
import type { EvaluationTask } from "./job.ts"
import { type SuiteName, suiteNamed, tasksNamed } from "./suites.ts"

export interface EvaluateSuiteOptions
  extends Omit<EvaluateOptions, "models" | "facts" | "data" | "open" | "tasks" | "suite">,
    RuntimeOptions,
    Pick<FindOptions, "pull"> {
  /** Folders of ONNX towers in any layout, checkpoints, names of released models. */
  readonly models: readonly string[]
  /** The root of the data: a folder, `http(s)://`, `s3://` or `hf://`. The suite `self` needs none. */
  readonly data?: string | undefined
  /** Default: the 40 tasks of the published tables; where tasks are named, those alone. */
  readonly suite?: SuiteName | undefined
  /** Keys of tasks; those of one's own data are folders below the root. */
  readonly tasks?: readonly string[] | undefined
}

export interface SuiteReport extends EvaluationReport {
  readonly data: string
  /** The suite's name, or "own" where tasks were named. */
  readonly suite: string
  readonly tasks: readonly EvaluationTask[]
}

/**
 * Opens the models and evaluates them. A named task whose data are absent has failed; one of a suite is left out.
 *
 * @throws UserError where a model, the root or every task is missing, and as `evaluate` does
 */
export async function evaluateSuite(options: EvaluateSuiteOptions): Promise<SuiteReport> {
  const { models, suite, tasks: keys, data: given, signal, ...rest } = options
  if (given !== undefined) await requireRoot(given)
  const sources: ModelSource[] = []
  for (const name of models) sources.push(await sourceOf(name, options))
  const data = await rootOf(options)
  const storage = openStorage(rest.say ? { onRetry: rest.say } : {})
  const open = opener(data, storage, signal)
  const rows = keys?.length
    ? await tasksNamed(keys, data, findOwn(data, storage, signal))
    : suiteNamed(suite ?? "datacomp")
  const name = keys?.length ? "own" : (suite ?? "datacomp")
  const teachers = await openTeachers(sources, options)
  try {
    const facts = await Promise.all(sources.map((source) => factsOf(source, options)))
    const decodeThreads = rest.decodeThreads ?? defaultDecodeThreads(rest.device)
    const job = { ...rest, decodeThreads, models: teachers, facts, data, open, tasks: rows, suite: name, signal }
    const report = await evaluate(job)
    if (report.absent.length === rows.length)
      throw new UserError(
        `${data} has none of the ${rows.length} tasks`,
        `the first one looked for ${rows[0]!.folders.join(" or ")}; one's own pictures become a task by \`mobileclip evaluate pack\`, and --task names it`,
      )
    const named = keys?.length ? { failures: [...report.failures, ...report.absent], absent: [] } : {}
    return { ...report, ...named, data, suite: name, tasks: rows }
  } finally {
    await Promise.all(teachers.map((teacher: Teacher) => teacher[Symbol.asyncDispose]()))
  }
}

async function sourceOf(name: string, options: EvaluateSuiteOptions): Promise<ModelSource> {
  const { pull, signal } = options
  const source = await findModelFiles(name, { dtype: onnxDtype(options), ...(pull && { pull }), signal })
  // Every run's model is called "model": the run's folder tells them apart.
  const isRuns = /^model(\.safetensors)?$/.test(source.name)
  return isRuns ? { ...source, name: basename(dirname(source.path)) || source.name } : source
}

async function rootOf({ data, suite, tasks, startProgress, signal }: EvaluateSuiteOptions): Promise<string> {
  if (data !== undefined) return data
  if (suite === "self" || tasks?.every((key) => key.startsWith("self/")))
    return makeSelfSuite(null, { ...(startProgress && { startProgress }), ...(signal && { signal }) })
  throw new UserError("an evaluation needs data", "name their root with --data, or use --suite self, which needs none")
}

function opener(root: string, storage: Storage, signal: AbortSignal | undefined) {
  return async (task: EvaluationTask, split: string): Promise<BenchmarkDataset | null> => {
    try {
      return await openDataset(root, task, { split, storage, ...(signal && { signal }) })
    } catch (error) {
      if (error instanceof NoTask) return null
      throw error
    }
  }
}

/** Data that are there and not in order are a failure of their task, which is found again when it is opened. */
function findOwn(root: string, storage: Storage, signal: AbortSignal | undefined) {
  return async (key: string): Promise<Pick<BenchmarkDataset, "kind"> | null> => {
    try {
      return await openDataset(root, key, { storage, ...(signal && { signal }) })
    } catch (error) {
      if (error instanceof NoTask) return null
      // A server's refusal too is a failure of this task alone.
      if (error instanceof UserError) return { kind: "classification" }
      throw error
    }
  }
}

/** What a folder's manifest and the published table say. */
async function factsOf(source: ModelSource, options: EvaluateSuiteOptions): Promise<ModelFacts> {
  const { path } = await prepared(source, options)
  const file = join(path, manifestFile)
  const manifest = existsSync(file) ? parseManifest(await readJson(file, "a model's manifest"), file) : null
  const variant = (source.variant as VariantName | null) ?? variantOf(manifest?.name ?? source.name)
  const figures = variant ? published[variant] : undefined
  const counted = manifest ? manifest.parameters.image + (manifest.parameters.text ?? 0) : null
  return {
    ...noFacts,
    variant,
    parameters: counted ?? (figures ? Math.round(1e6 * (figures.parameters.image + figures.parameters.text)) : null),
    licence: manifest?.license ?? null,
    trainedOn: manifest && manifest.samplesSeen > 0 ? `${manifest.samplesSeen} samples` : null,
  }
}

function variantOf(name: string): VariantName | null {
  try {
    return findVariant(name)
  } catch (error) {
    if (error instanceof UserError) return null
    throw error
  }
}
