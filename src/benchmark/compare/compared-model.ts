/**
 * Models with their results, from what is named on a command line: a RUN folder (`results.jsonl`, `answers/`, `evaluation.json`),
 * a folder of such folders, a file in the shape of the published results, or the name of a published model.
 */
import { existsSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import { z } from "zod"
import { oneLine, quoted, UserError } from "../../core/errors.ts"
import { plainNumbers } from "../../core/json.ts"
import { nearestNames } from "../../core/nearest.ts"
import { parseExactJson, parseJson } from "../../data/json-text.ts"
import { findPublished, type PublishedModel, publishedModels } from "../../evaluate/suite/published.ts"
import { isDirectory, readBytes, readJson, requireSmall } from "../../host/files/files.ts"
import { answersFolder, evaluationFile, resultsFile } from "../run/results-folder.ts"
import { type TaskResult, taskResultSchema } from "../run/task-result.ts"

export interface ComparedModel {
  readonly name: string
  readonly source: "run" | "file" | "published"
  /** In the order of the file; of a task that is there twice the last one counts. */
  readonly results: ReadonlyMap<string, TaskResult>
  /** The folder of its answers; null where none were kept. */
  readonly answers: string | null
  /** What it was evaluated with; null where that is not known. */
  readonly settings: Readonly<Record<string, unknown>> | null
  /** The member of the family that it is; null where it is none, or that is not known. */
  readonly variant: string | null
  /** In both towers, in millions. */
  readonly parameters: number | null
  /** For one picture and one text, measured on the machine that evaluated it. */
  readonly latencyMs: number | null
}

/** @throws UserError where a path has no results, or two models have one name */
export async function openModels(
  paths: readonly string[],
  published: readonly string[] = [],
): Promise<ComparedModel[]> {
  const own: ComparedModel[] = []
  for (const path of paths) own.push(...(await modelsAt(path)))
  return withOwnNames(withoutTwice([...own, ...published.flatMap(publishedNamed)]))
}

/** `--published all` has those that were named before, too. */
function withoutTwice(models: readonly ComparedModel[]): ComparedModel[] {
  const isFirst = ({ name }: ComparedModel, i: number) =>
    models.findIndex((other) => other.source === "published" && other.name === name) === i
  return models.filter((model, i) => model.source !== "published" || isFirst(model, i))
}

async function modelsAt(path: string): Promise<ComparedModel[]> {
  if (!existsSync(path)) return [await notThere(path)]
  if (!(await isDirectory(path))) return [await modelOfFile(path)]
  if (existsSync(join(path, resultsFile))) return [await modelOfRun(path)]
  const names = (await readdir(path)).filter((name) => !name.startsWith(".")).toSorted()
  const runs = names.map((name) => join(path, name)).filter((folder) => existsSync(join(folder, resultsFile)))
  if (runs.length > 0) return Promise.all(runs.map(modelOfRun))
  throw new UserError(`${path} has no ${resultsFile}, nor has a folder in it`, expected)
}

const expected = "give what `mobileclip evaluate --out` wrote, or a file of results in the published shape"

/** A name of a published model is taken as one where there is no such file. */
async function notThere(path: string): Promise<ComparedModel> {
  const published = findPublished(path)
  if (published) return publishedModel(published)
  throw new UserError(`${path}: there is no such file or folder`, expected)
}

async function modelOfFile(path: string): Promise<ComparedModel> {
  const name =
    basename(path) === resultsFile ? basename(dirname(resolve(path))) : basename(path).replace(/\.jsonl?$/, "")
  const known = findPublished(name)
  const towers = { variant: known?.variant ?? null, parameters: known?.parameters ?? null, latencyMs: null }
  return { name, source: "file", results: await readResults(path), answers: null, settings: null, ...towers }
}

const evaluation = z.object({
  format: z.literal("mobileclip-evaluation"),
  model: z.object({
    name: z.string(),
    variant: z.string().nullable().default(null),
    parameters: z.number().positive().nullable().default(null),
    latencyMs: z.number().positive().nullable().default(null),
  }),
  suite: z.unknown(),
  settings: z.record(z.string(), z.unknown()).default({}),
})

async function modelOfRun(folder: string): Promise<ComparedModel> {
  const path = join(folder, evaluationFile)
  const results = await readResults(join(folder, resultsFile))
  const answers = existsSync(join(folder, answersFolder)) ? join(folder, answersFolder) : null
  const run = { source: "run", results, answers } as const
  if (!existsSync(path)) {
    return { ...run, name: basename(resolve(folder)), settings: null, variant: null, parameters: null, latencyMs: null }
  }
  const parsed = evaluation.safeParse(await readJson(path, "what a run of `mobileclip evaluate` says of itself"))
  if (!parsed.success) {
    const { path: at, message } = parsed.error.issues[0]!
    throw new UserError(`${path}: ${oneLine(at.join(".")) || "the file"}: ${message}`, expected)
  }
  const { model, settings } = parsed.data
  return { ...run, ...model, parameters: model.parameters && model.parameters / 1e6, settings }
}

// ----------------------------------------------------------------------------------------------------- results

/** A line has some kilobytes. */
const mostBytes = 2 ** 27

/** Reads lines of JSON; Python's NaN is null. Throws UserError that names the line. */
export async function readResults(path: string): Promise<Map<string, TaskResult>> {
  const lines = new TextDecoder().decode(await readBytes(path, requireSmall(path, mostBytes))).split("\n")
  const results = new Map<string, TaskResult>()
  for (const [i, text] of lines.entries()) {
    if (text.trim() === "") continue
    const result = parseLine(text, `${path}, line ${i + 1}`)
    results.set(result.key, result)
  }
  if (results.size === 0) throw new UserError(`${path} has no results`, expected)
  return results
}

function parseLine(text: string, where: string): TaskResult {
  const parsed = taskResultSchema.safeParse(withoutNaN(plainNumbers(parseJson(text, where, parseExactJson))))
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]!
  throw new UserError(`${where} is not a result: ${oneLine(path.join("."))}: ${message}`, expected)
}

function withoutNaN(value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) return null
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, withoutNaN(part)]))
}

// --------------------------------------------------------------------------------------------------- published

function publishedNamed(name: string): ComparedModel[] {
  if (name === "all") return publishedModels.map(publishedModel)
  const model = findPublished(name)
  if (model) return [publishedModel(model)]
  const near = nearestNames(
    name,
    publishedModels.map((each) => each.name),
  )
  throw new UserError(
    `no results were published of ${quoted(name)}`,
    `did you mean ${near.join(", ")}? all: all ${publishedModels.length}`,
  )
}

function publishedModel({ name, variant, results, parameters }: PublishedModel): ComparedModel {
  return {
    ...{ name, variant, source: "published", answers: null, settings: null, parameters, latencyMs: null },
    results: new Map(results.map((result) => [result.key, result])),
  }
}

/** A name that two models have is followed by a number. */
function withOwnNames(models: readonly ComparedModel[]): ComparedModel[] {
  const names = new Set<string>()
  return models.map((model) => {
    let name = model.name
    for (let i = 2; names.has(name); i++) name = `${model.name} (${i})`
    names.add(name)
    return { ...model, name }
  })
}
