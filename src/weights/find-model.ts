/**
 * What a user calls a model, as files on this machine, in every command: a folder of ONNX towers in any layout, a folder or
 * a file of weights, a run's folder, the name of a released model, or a repository on the hub. Plain data, so that it is
 * resolved once and handed to every worker process.
 */
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { kindOf } from "../core/arguments.ts"
import { EnvironmentError, oneLine, UserError } from "../core/errors.ts"
import { manifestFile } from "../core/inference/manifest.ts"
import { findOnnxFiles, type Towers } from "../core/inference/onnx-files.ts"
import { isObject, jsonOrNull } from "../core/json.ts"
import type { OnnxDtype } from "../core/precision.ts"
import { commandLine } from "../core/shell-quote.ts"
import { weightsFile, weightsInFolder } from "../hub/choose-weights.ts"
import { NotCached, type PullWeights, pull as pullFromHub } from "../hub/pull.ts"
import { resolveSource } from "../hub/source.ts"

export interface ModelSource {
  /** In messages and identities: no path of this machine. */
  readonly name: string
  readonly kind: "directory" | "checkpoint"
  readonly path: string
  /** Key of the variant table, where it is known; else the contents of a checkpoint decide. */
  readonly variant: string | null
}

export interface FindOptions {
  /** Whether it must be weights, to be trained or converted; else ONNX towers come first where a repository has both. */
  readonly wantsWeights?: boolean
  /** Type of ONNX weights, where a repository has several. */
  readonly dtype?: OnnxDtype | null
  /** Which ONNX towers are downloaded, where a repository has each in a file of its own (default: both). */
  readonly towers?: Towers | undefined
  /** Brings a model where it is a name; null: only what is on this machine counts. Default: from the hub, without a word. */
  readonly pull?: PullWeights | null
  readonly signal?: AbortSignal | undefined
}

/** @throws UserError that says what was looked for, and what may be given */
export async function findModelFiles(given: string, options: FindOptions = {}): Promise<ModelSource> {
  if (typeof given !== "string") throw new UserError(`a model was expected, not ${kindOf(given)}`, modelHint)
  const path = given.replace(/^local-dir:/, "")
  return existsSync(path) ? modelAt(path, null, options) : modelNamed(given, options)
}

/** The same for a path that exists. */
export function modelAt(path: string, variant: string | null, { wantsWeights = false }: FindOptions = {}): ModelSource {
  const name = basename(resolve(path))
  if (!statSync(path).isDirectory()) {
    requireNotPart(path)
    return { name, kind: "checkpoint", path: resolve(path), variant }
  }
  if (wantsWeights && !weightsInFolder(path)) throw withoutWeights(path)
  const weights = wantsWeights ? weightsFile(path) : isExported(path) ? null : weightsInFolder(path)
  if (weights) return { name, kind: "checkpoint", path: resolve(weights), variant }
  const exported = join(path, "model")
  if (!isExported(path) && existsSync(join(exported, manifestFile))) return modelAt(exported, variant)
  if (checkpointsIn(path).length > 0) throw withoutWeights(path)
  return { name, kind: "directory", path: resolve(path), variant }
}

/** A file of a model's folder, given in place of the folder. */
function requireNotPart(path: string): void {
  if (!path.endsWith(".onnx") && basename(path) !== manifestFile) return
  const around = dirname(path)
  const folder = ["onnx", "visual", "textual"].includes(basename(resolve(around))) ? dirname(around) : around
  throw new UserError(`${path} is a part of a model`, `name the folder that it is in: ${folder}`)
}

/** ONNX towers come before what transformers reads, and open_clip's weights before them. */
function isExported(folder: string): boolean {
  if (existsSync(join(folder, manifestFile))) return true
  const below = ["", "onnx", "visual", "textual"].map((name) => join(folder, name)).filter(isFolder)
  const names = below.flatMap((path) => readdirSync(path)).filter((name) => !name.startsWith("."))
  return (
    names.some((name) => name.endsWith(".onnx")) && !names.some((name) => /^open_clip.*\.(safetensors|bin)$/.test(name))
  )
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

function withoutWeights(folder: string): UserError {
  const checkpoints = checkpointsIn(folder)
  if (checkpoints.length > 0) {
    return new UserError(
      `the run in ${folder} has no model yet: it has not ended`,
      `go on with it, or name its last checkpoint: ${join(folder, "checkpoints", checkpoints.at(-1)!)}`,
    )
  }
  const exported = [folder, join(folder, "model")].find((path) => existsSync(join(path, manifestFile)))
  if (exported === undefined && !isExported(folder)) {
    const names = readdirSync(folder).filter((name) => !name.startsWith("."))
    const found = names.length === 0 ? "it is empty" : `it has ${oneLine(names.sort().slice(0, 6).join(", "), 400)}`
    return new UserError(`${folder} holds no weights: ${found}`, modelHint)
  }
  const origin = exported === undefined ? null : originOf(exported)
  return new UserError(
    `${exported ?? folder} is an exported model, and weights were expected: it cannot be trained or converted`,
    `name the checkpoint that it was made from${origin ? `: ${origin}` : ""}`,
  )
}

/** The checkpoint that an exported model was made from, with its path where it lies beside, or in the same run. */
function originOf(folder: string): string | null {
  const manifest = jsonOrNull(readFileSync(join(folder, manifestFile), "utf8"))
  const source: unknown = isObject(manifest) ? manifest.source : null
  const file = isObject(source) && typeof source.file === "string" ? basename(source.file) : null
  if (!isObject(source) || file === null) return null
  const beside = join(dirname(folder), file)
  if (existsSync(beside)) return beside
  return withinRun(dirname(folder), file).find((path) => digestOf(path) === source.sha256) ?? oneLine(file)
}

/** Files of this name one and two folders below: `students/reinforced-0/model.safetensors`. */
function withinRun(run: string, file: string): string[] {
  const near = foldersIn(run)
  return [...near, ...near.flatMap(foldersIn)].map((path) => join(path, file)).filter((path) => existsSync(path))
}

/** None where it cannot be read. */
function foldersIn(path: string): string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true })
    return entries.flatMap((entry) => (entry.isDirectory() ? [join(path, entry.name)] : []))
  } catch {
    return []
  }
}

/** For the message alone, so that very large files are passed over. */
function digestOf(path: string): string | null {
  if (statSync(path).size > 2 ** 30) return null
  return createHash("sha256").update(readFileSync(path)).digest("hex")
}

/** States of a run that is under way, in order. */
function checkpointsIn(folder: string): string[] {
  const path = join(folder, "checkpoints")
  return isFolder(path)
    ? readdirSync(path)
        .filter((name) => /^step-\d+\.safetensors$/.test(name))
        .sort()
    : []
}

const modelHint =
  "a model is a folder with ONNX towers or weights, a run's folder, a file of weights, a name (`mobileclip pull --list`) or a repository (owner/name)"

/** ONNX towers where the repository has them and they are wanted, weights else. */
async function modelNamed(given: string, options: FindOptions): Promise<ModelSource> {
  const select = (paths: readonly string[], repo: string) => {
    const found = options.wantsWeights ? null : findOnnxFiles(paths, options.dtype ?? null, repo, options.towers)
    return found && [...new Set([found.layout === "mobileclip" ? manifestFile : found.image, ...found.files])]
  }
  const { path, repo, revision, file } = await pullOrExplain(given, { ...options, select })
  const name = repo === null ? basename(path) : `${repo}@${revision!.slice(0, 12)}`
  if (!/\.(onnx|json)$/.test(file)) return { name, kind: "checkpoint", path, variant: null }
  return { name, kind: "directory", path: resolve(path, ...file.split("/").map(() => "..")), variant: null }
}

type PullOptions = Pick<FindOptions, "pull" | "signal"> & Required<Pick<Parameters<PullWeights>[1], "select">>

async function pullOrExplain(given: string, { pull, select, signal }: PullOptions): ReturnType<PullWeights> {
  try {
    return pull === null
      ? await pullFromHub(given, { select, signal, offline: true })
      : await (pull ?? pullFromHub)(given, { select, signal })
  } catch (error) {
    const isUnclear = couldBePath(given)
    if (pull === null && error instanceof NotCached) throw notHere(given, isUnclear, error)
    throw isUnclear && error instanceof UserError ? withOtherReading(given, error) : error
  }
}

/** owner/name, where nothing says that it is a repository: a path is written in the same way. */
function couldBePath(given: string): boolean {
  try {
    const source = resolveSource(given, existsSync)
    return source.kind === "hub" && source.release === null && !/[:@]/.test(given)
  } catch (error) {
    // What can only be a path was told as one.
    if (error instanceof UserError) return false
    throw error
  }
}

function notHere(given: string, isUnclear: boolean, cause: NotCached): UserError {
  const [bring, convert] = [
    ["pull", given],
    ["convert", given, "--out", "models/NAME"],
  ].map((words) => `\`${commandLine(["mobileclip", ...words])}\``)
  const how = `${bring} brings it into the cache; ${convert} makes a folder of it, which can be named too`
  if (!isUnclear) return new UserError(`${given} is not on this machine`, how, { cause })
  return new UserError(
    `${given} is neither a file or folder here (there is no folder ${dirname(given)}) nor a repository in the cache`,
    `check the path and the folder you are in; if it is a repository on the hub: ${how}`,
    { cause },
  )
}

function withOtherReading(given: string, error: UserError): UserError {
  const Kind = error instanceof EnvironmentError ? EnvironmentError : UserError
  const reading = `${given} was taken for a repository, as there is no file or folder of that name here`
  return new Kind(`${error.message}; ${reading}`, error.hint, { cause: error })
}
