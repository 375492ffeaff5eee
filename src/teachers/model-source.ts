/**
 * What a user writes for a teacher or a captioner, as files on this machine: a folder of ONNX towers, or a checkpoint.
 * Plain data, so that it is resolved once and handed to every worker process.
 */
import { existsSync, readdirSync, statSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { UserError } from "../core/errors.ts"
import { findModel } from "../core/family/variant-name.ts"
import { manifestFile } from "../core/inference/manifest.ts"
import { findOnnxFiles } from "../core/inference/onnx-files.ts"
import type { OnnxDtype } from "../core/precision.ts"
import { weightsInFolder } from "../hub/choose-weights.ts"
import { findPretrained } from "../hub/pretrained.ts"
import { type PullOptions, type PullResult, pull } from "../hub/pull.ts"

export interface ModelSource {
  /** In messages and identities: no path of this machine. */
  readonly name: string
  readonly kind: "directory" | "checkpoint"
  readonly path: string
  /** Key of the variant table, where it is known; else the contents of a checkpoint decide. */
  readonly variant: string | null
}

export interface ResolveOptions {
  /** Type of ONNX weights, where a repository has several. */
  readonly dtype?: OnnxDtype | null
  /** Brings weights from a repository that has ONNX towers too. */
  readonly wantsCheckpoint?: boolean
  /** Brings a model from the hub; the command line's one shows licence and progress. */
  readonly pull?: (source: string, options: Pick<PullOptions, "select">) => Promise<PullResult>
  /** What the user should know, in a line. */
  readonly onNote?: (text: string) => void
}

/** What open_clip's users write for "the weights come with the repository". */
const noTag = /^(n\/?a|none|-)?$/i

/**
 * The models of `--model-name a,b` and `--pretrained x,y`, in order; a name may come twice. A name is open_clip's name of
 * an architecture with a tag or a checkpoint of its own; or a repository (`hf-hub:owner/name`, `owner/name`), a released
 * model, a folder or a checkpoint, with no tag or N/A.
 *
 * @throws UserError where a name means nothing, or names and tags are not as many
 */
export async function resolveModels(
  names: string,
  tags: string | undefined,
  options: ResolveOptions = {},
): Promise<ModelSource[]> {
  const [models, given] = [listed(names), tags === undefined ? null : listed(tags)]
  if (given && given.length !== models.length) {
    throw new UserError(
      `--model-name has ${models.length} names and --pretrained ${given.length}`,
      "give one tag for each name; N/A for a repository, a folder or a file",
    )
  }
  const empty = models.indexOf("")
  if (empty !== -1)
    throw new UserError(`--model-name "${names}": name ${empty + 1} is empty`, "join names by one comma")
  const sources: ModelSource[] = []
  for (const [i, name] of models.entries()) sources.push(await resolveModel(name, given?.[i] ?? "", options))
  return sources
}

function listed(text: string): string[] {
  return text.split(",").map((item) => item.trim())
}

async function resolveModel(name: string, tag: string, options: ResolveOptions): Promise<ModelSource> {
  const path = name.replace(/^local-dir:/, "")
  if (noTag.test(tag)) return existsSync(path) ? local(path, null) : fromHub(name, options)
  if (existsSync(path)) {
    throw new UserError(`${path} has its own weights, and --pretrained says ${tag}`, "write N/A for it")
  }
  if (existsSync(tag)) return local(tag, findModel(name))
  const { release, note } = findPretrained(name, tag)
  if (note) options.onNote?.(note)
  return fromHub(release.name, options)
}

function local(path: string, variant: string | null): ModelSource {
  if (!statSync(path).isDirectory()) return { name: basename(path), kind: "checkpoint", path: resolve(path), variant }
  const name = basename(resolve(path))
  const weights = isExported(path) ? null : weightsInFolder(path)
  if (weights) return { name, kind: "checkpoint", path: resolve(weights), variant }
  return { name, kind: "directory", path: resolve(path), variant }
}

/** ONNX towers come before what transformers reads, and open_clip's weights before them. */
function isExported(folder: string): boolean {
  if (existsSync(join(folder, manifestFile))) return true
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => !/(^|[/\\])\./.test(name))
  return (
    names.some((name) => name.endsWith(".onnx")) && !names.some((name) => /^open_clip.*\.(safetensors|bin)$/.test(name))
  )
}

/** ONNX towers where the repository has them, weights else. */
async function fromHub(source: string, options: ResolveOptions): Promise<ModelSource> {
  const bring = options.pull ?? pull
  const select = (paths: readonly string[], repo: string) => {
    const found = options.wantsCheckpoint ? null : findOnnxFiles(paths, options.dtype ?? null, repo)
    return found && [...new Set([found.layout === "mobileclip" ? manifestFile : found.image, ...found.files])]
  }
  const { path, repo, revision, file } = await bring(source, { select })
  const name = repo === null ? basename(path) : `${repo}@${revision!.slice(0, 12)}`
  if (!/\.(onnx|json)$/.test(file)) return { name, kind: "checkpoint", path, variant: null }
  return { name, kind: "directory", path: resolve(path, ...file.split("/").map(() => "..")), variant: null }
}
