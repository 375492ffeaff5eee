/** Which file holds the weights: in a repository on the hub, in a folder like one, or in a run's folder. */
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { UserError } from "../core/errors.ts"
import { fileError } from "../host/files/file-error.ts"

const extensions = [".safetensors", ".pt", ".pth", ".bin"]
/** What training leaves beside the weights. */
const noWeights = /^(training_args|optimizer|scheduler|rng_state|scaler)\b/

interface Named {
  readonly path: string
}

/**
 * The one file of weights: open_clip's before others (a copy for transformers, with other tensor names, may lie beside
 * them), safetensors before `.pt` before `.bin`, and `model.safetensors` before others of its kind.
 *
 * @param wanted a path in the repository; null: choose
 * @throws UserError where there is none, or several are equally good
 */
export function chooseWeights<T extends Named>(files: readonly T[], wanted: string | null, repo: string): T {
  const list = listOf(files.filter(isWeights))
  if (wanted !== null) {
    const found = files.find(({ path }) => path === wanted)
    if (found) return found
    throw new UserError(`${repo} has no file ${wanted}`, `files with weights: ${list}`)
  }
  const candidates = bestOf(files)
  if (candidates.length === 1) return candidates[0]!
  const problem = candidates.length === 0 ? "has no file of weights" : "has several files of weights"
  throw new UserError(`${repo} ${problem} at its top`, `choose one with --file: ${list}`)
}

/**
 * The file itself, or the one of a folder, by the same rule.
 *
 * @throws UserError where a folder has none, or several are equally good
 */
export function weightsFile(path: string): string {
  const found = statOf(path).isDirectory() ? weightsInFolder(path) : path
  if (found) return found
  throw new UserError(
    `${path} holds no weights: none of its files ends with ${extensions.join(", ")}`,
    "an exported model cannot be trained or converted; name the checkpoint it was exported from",
  )
}

/** Null where the folder has none; a UserError with the list where several are equally good. */
export function weightsInFolder(folder: string): string | null {
  const candidates = bestOf(filesOf(folder).map((path) => ({ path })))
  if (candidates.length > 1) {
    throw new UserError(`${folder} holds several files of weights: ${listOf(candidates)}`, "name one of them")
  }
  return candidates[0] ? join(folder, candidates[0].path) : null
}

/** The best files at the top of the folder, by the rule above. */
function bestOf<T extends Named>(files: readonly T[]): T[] {
  const top = files.filter((file) => isWeights(file) && !file.path.includes("/"))
  const best = Math.min(...top.map(rank))
  return top.filter((file) => rank(file) === best)
}

function isWeights({ path }: Named): boolean {
  return extensions.some((end) => path.endsWith(end)) && !noWeights.test(path)
}

function rank({ path }: Named): number {
  if (path === "model.safetensors") return extensions.length
  const extension = extensions.findIndex((end) => path.endsWith(end))
  return path.startsWith("open_clip") ? extension : 2 * extensions.length + extension
}

function listOf(files: readonly Named[]): string {
  return files.map(({ path }) => path).join(", ") || "none"
}

/** Names of files, also where links lead to them as in the hub's cache; hidden ones are being written. */
function filesOf(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => !name.startsWith("."))
  return names.filter((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isFile()).sort()
}

function statOf(path: string) {
  try {
    return statSync(path)
  } catch (error) {
    throw fileError(error, "reading", path)
  }
}
