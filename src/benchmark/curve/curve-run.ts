/**
 * Training runs as learning curves. A run is a folder with `metrics.jsonl`; what its folder is called says which side it belongs
 * to: `plain-0`, `plain-1` are two seeds of "plain", `plain-0-of-156-steps` is one whose schedule ends sooner, and below
 * `of-625-pictures/`, or as `plain-0-of-625-pictures`, it learned from so many different pictures. So the quickstart and CIFAR-10
 * name theirs.
 */
import { existsSync, readdirSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import { SafetensorsFile } from "../../core/containers/safetensors.ts"
import { quoted, UserError } from "../../core/errors.ts"
import { isObject, jsonOrNull } from "../../core/json.ts"
import type { LearningCurve } from "../../evaluate/efficiency.ts"
import { isDirectory, openRandomAccess, readJson } from "../../host/files/files.ts"
import { type EvaluationEntry, isStep, type LogEntry, type StepEntry } from "../../train/log/entries.ts"
import { readMetrics } from "../../train/log/metrics.ts"

export interface CurveRun {
  readonly folder: string
  /** The folder's name without seed, steps and pictures: "plain". */
  readonly kind: string
  /** Null where the folder's name has none. */
  readonly seed: number | null
  /** Where its schedule ends sooner than that of other runs of its kind. */
  readonly ofSteps: number | null
  /** Different pairs it learned from; null where that is not known. */
  readonly unique: number | null
  /** Whether its folder is called one of a subset. */
  readonly isSubset: boolean
  readonly curve: LearningCurve
}

const METRICS = "metrics.jsonl"

/**
 * All runs of folders: runs themselves, or what has runs below it. Of a folder of the quickstart or of CIFAR-10 these are the
 * students. Runs that were never evaluated are left out where they were not named.
 *
 * @throws UserError where there is no run, or a named one was not evaluated
 */
export async function openCurveRuns(paths: readonly string[]): Promise<CurveRun[]> {
  const folders = new Map<string, boolean>()
  for (const path of paths)
    for (const folder of await runFolders(path)) folders.set(resolve(folder), resolve(folder) === resolve(path))
  const runs: CurveRun[] = []
  for (const [folder, isNamed] of folders) {
    // Times are sums over all steps.
    const entries = await readMetrics(join(folder, METRICS), Number.POSITIVE_INFINITY)
    const evaluations = entries.filter((entry): entry is EvaluationEntry => !isStep(entry))
    if (evaluations.length > 0) runs.push(await curveRun(folder, entries))
    else if (isNamed)
      throw new UserError(
        `${folder} has no evaluation in ${METRICS}, and a curve is made of them`,
        "train with `--evaluate TASKS`, which scores the model along the way",
      )
  }
  if (runs.length === 0)
    throw new UserError(`no run in ${paths.join(", ")} was evaluated`, "train with `--evaluate TASKS`")
  return runs
}

async function runFolders(path: string): Promise<string[]> {
  if (basename(path) === METRICS && existsSync(path)) return [dirname(path)]
  if (!existsSync(path)) throw new UserError(`${path}: there is no such folder`, expected)
  const found = await runsBelow(path, 3)
  if (found.length === 0) throw new UserError(`${path} has no run: no ${METRICS} in it or below`, expected)
  return found
}

const expected = "give the folders of training runs, or a folder that holds them"

/** In the order of names, numbers by their value. */
async function runsBelow(folder: string, depth: number): Promise<string[]> {
  if (existsSync(join(folder, METRICS))) return [folder]
  if (depth === 0 || !(await isDirectory(folder))) return []
  const students = join(folder, "students")
  // Their teachers are in the same folder, and not compared with them.
  if (existsSync(students)) return runsBelow(students, depth - 1)
  const names = (await readdir(folder)).filter((name) => !name.startsWith(".")).toSorted(byNumber)
  const found: string[] = []
  for (const name of names) found.push(...(await runsBelow(join(folder, name), depth - 1)))
  return found
}

const byNumber = new Intl.Collator("en", { numeric: true }).compare

async function curveRun(folder: string, entries: readonly LogEntry[]): Promise<CurveRun> {
  const { pictures, ...name } = nameOf(folder)
  const unique = pictures ?? uniquePairs(folder) ?? (await reportOf(folder)).unique
  return { folder, ...name, unique, isSubset: pictures !== null, curve: curveOf(entries, folder) }
}

/** What the folder's name, and that of the folder around it, says. */
export function nameOf(
  folder: string,
): Pick<CurveRun, "kind" | "seed" | "ofSteps"> & { readonly pictures: number | null } {
  const around = /^of-(\d+)-(?:pictures|samples)$/.exec(basename(dirname(folder)))
  const { kind, seed, steps, pictures } = pattern.exec(basename(folder))!.groups!
  const number = (text: string | undefined) => (text === undefined ? null : Number(text))
  return { kind: kind!, seed: number(seed), ofSteps: number(steps), pictures: number(pictures ?? around?.[1]) }
}

const pattern =
  /^(?<kind>.+?)(?:-(?<seed>\d+))?(?:-of-(?:(?<steps>\d+)-steps|(?<pictures>\d+)-(?:pictures|samples)))?$/s

/** As a checkpoint has noted its data: "4000 samples in 8 shards, ...". */
function uniquePairs(folder: string): number | null {
  const text = checkpointMetadata(folder)?.training ?? ""
  const training = jsonOrNull(text)
  const data = isObject(training) && isObject(training.settings) ? training.settings.data : null
  const count = typeof data === "string" ? /^(\d+) samples\b/.exec(data)?.[1] : undefined
  return count === undefined ? null : Number(count)
}

/** That of any checkpoint: all were made from the same data. A damaged one has nothing to say here. */
function checkpointMetadata(folder: string): Readonly<Record<string, string>> | null {
  for (const path of checkpointsOf(join(folder, "checkpoints"))) {
    const file = openRandomAccess(path)
    try {
      return new SafetensorsFile(file).metadata
    } catch (error) {
      if (!(error instanceof UserError)) throw error
    } finally {
      file.close()
    }
  }
  return null
}

function checkpointsOf(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => /^step-\d{8,}\.safetensors$/.test(name))
    .map((name) => join(folder, name))
}

// ------------------------------------------------------------------------------------------------------ curves

/** Evaluations with the time of the steps until then: a line may stand for several steps, and has their mean. */
function curveOf(entries: readonly LogEntry[], folder: string): LearningCurve {
  const steps = entries.filter(isStep)
  const evaluations = entries.filter((entry): entry is EvaluationEntry => !isStep(entry))
  const secondsUntil = trainingClock(steps)
  return evaluations.map((entry) => {
    checkEvaluation(entry, folder)
    const { step, samplesSeen, tasks, average } = entry
    return { samplesSeen, seconds: secondsUntil(step), tasks, average }
  })
}

/** Seconds until a step. It goes on from the one that was asked for before, as logs have as many evaluations as steps. */
function trainingClock(steps: readonly StepEntry[]): (step: number) => number {
  let [next, sum, before, asked] = [0, 0, 0, 0]
  return (step) => {
    if (step < asked) [next, sum, before] = [0, 0, 0]
    asked = step
    for (; next < steps.length && steps[next]!.step <= step; next++) {
      sum += (steps[next]!.step - before) * steps[next]!.seconds
      before = steps[next]!.step
    }
    return sum
  }
}

function checkEvaluation({ step, samplesSeen, tasks }: EvaluationEntry, folder: string): void {
  const scores = isObject(tasks) ? Object.values(tasks) : []
  if (scores.length > 0 && [step, samplesSeen, ...scores].every(Number.isFinite)) return
  throw new UserError(
    `${join(folder, METRICS)}: the evaluation at step ${quoted(String(step))} has no scores`,
    "delete the line",
  )
}

// ------------------------------------------------------------------------------------------------- experiments

/** What an experiment's `report.json` says of the runs in its `students` folder; null: nothing. */
export async function reportOf(
  folder: string,
): Promise<{ readonly guessing: number | null; readonly unique: number | null }> {
  const parts = folder.split(/[\\/]/)
  const at = parts.lastIndexOf("students")
  const path = at > 0 ? join(parts.slice(0, at).join("/") || "/", "report.json") : ""
  const report = existsSync(path) ? await readJson(path, "an experiment's report") : null
  if (!isObject(report)) return { guessing: null, unique: null }
  const pictures = isObject(report.pictures) ? report.pictures.unique : report.uniquePictures
  const number = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : null)
  return { guessing: number(report.guessing), unique: number(pictures) }
}

/** The task list of a run from a recipe; null where it has none, or it is no longer there. */
export async function taskListOf(folder: string): Promise<string | null> {
  const path = join(folder, "config.json")
  if (!existsSync(path)) return null
  const recipe = await readJson(path, "a run's recipe")
  const tasks = isObject(recipe) && isObject(recipe.evaluate) ? recipe.evaluate.tasks : null
  return typeof tasks === "string" && existsSync(tasks) ? tasks : null
}
