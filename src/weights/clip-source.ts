/** What a program calls a model, as a folder that can be opened: a name, a path, an address, or files that it has. */
import { existsSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { kindOf } from "../core/arguments.ts"
import { UserError } from "../core/errors.ts"
import { manifestFile, parseManifest } from "../core/inference/manifest.ts"
import { findOnnxFiles } from "../core/inference/onnx-files.ts"
import { requireInside } from "../core/inside.ts"
import type { OnnxDtype } from "../core/precision.ts"
import { fileError } from "../host/files/file-error.ts"
import { makeDirectory, readJson } from "../host/files/files.ts"
import { temporaryFolder } from "../host/files/temporary.ts"
import { NotCached, type PullResult, type PullWeights, pull } from "../hub/pull.ts"
import type { HostLoadOptions } from "../run/clip-host.ts"
import { type NamedDirectory, namedDirectory } from "./model-directory.ts"
import { downloadedModel } from "./model-url.ts"

/** Contents of a model directory by path: "mobileclip.json", "onnx/vision_model.onnx", ... */
export type ModelFiles = Readonly<Record<string, Uint8Array | ArrayBuffer | Blob>>

/** A name of the family or a repository, a path, an address, or files: by path, or a list as a file chooser gives it. */
export type ClipSource = string | URL | ModelFiles | Iterable<File>

export interface SourceOptions extends HostLoadOptions {
  /** Type of the weights, where a model is there in several or is exported (default: fp32 where it is there). */
  readonly dtype?: OnnxDtype | undefined
  /** Nothing is downloaded (default: what HF_HUB_OFFLINE says). */
  readonly offline?: boolean | undefined
}

/** What was made for this model alone is removed when it is disposed of. */
export type OpenSource = NamedDirectory & { readonly temporary?: Disposable }

/** Throws UserError where there is no such model, or it cannot be brought here; the signal's reason. */
export async function openSource(source: ClipSource, options: SourceOptions): Promise<OpenSource> {
  if (source instanceof URL || (typeof source === "string" && /^(https?|file):/i.test(source))) {
    const address = String(source)
    return /^file:/i.test(address) ? openNamed(fileURLToPath(address), options) : downloadedModel(address, options)
  }
  return typeof source === "string" ? openNamed(source, options) : writeFiles(filesOf(source), options)
}

function openNamed(source: string, options: SourceOptions): Promise<OpenSource> {
  const { onProgress, offline, dtype, towers, signal } = options
  const onStage = (text: string) => onProgress?.({ stage: "export", file: text, loaded: 0, total: null, from: "disk" })
  return namedDirectory(source, {
    dtype: dtype ?? null,
    towers,
    signal,
    onStage,
    pull: offline ? null : pullMissing(options),
  })
}

/** What the cache has is taken without asking the hub: its owner may run `mobileclip pull` for a newer revision. */
function pullMissing({ onProgress, ...options }: SourceOptions): PullWeights {
  return async (name, given) => {
    const tell = (from: "network" | "cache") => (loaded: number, total: number) =>
      onProgress?.({ stage: "download", file: name, loaded, total, from })
    const cached = await pull(name, { ...given, offline: true }).catch(nullWhereNotCached)
    if (!cached || !(await isWhole(cached, options))) return pull(name, { ...given, onProgress: tell("network") })
    tell("cache")(cached.bytes, cached.bytes)
    return cached
  }
}

function nullWhereNotCached(error: unknown): null {
  if (error instanceof NotCached) return null
  throw error
}

/** Whether the towers that are wanted now are there: other ones may have been downloaded alone. */
async function isWhole({ path, file, repo }: PullResult, { dtype, towers }: SourceOptions): Promise<boolean> {
  if (basename(file) !== manifestFile) return true
  const { files } = parseManifest(await readJson(path, "a model's manifest"), path)
  const needed = findOnnxFiles([manifestFile, ...Object.keys(files)], dtype ?? null, repo ?? path, towers)!.files
  return needed.every((one) => existsSync(join(dirname(path), one)))
}

// ----------------------------------------------------------------------------------------------------------- files

function filesOf(source: unknown): ReadonlyMap<string, Uint8Array | ArrayBuffer | Blob> {
  const isFiles = typeof source === "object" && source !== null && !ArrayBuffer.isView(source)
  if (!isFiles || source instanceof ArrayBuffer) throw notASource(source)
  const entries = Symbol.iterator in source ? [...(source as Iterable<unknown>)].map(named) : Object.entries(source)
  if (entries.length === 0) throw new UserError("a model was expected, not an empty set of files", sourceHint)
  const wrong = entries.find(([, content]) => !isContent(content))
  if (wrong) throw new UserError(`the model's file ${wrong[0]} is ${kindOf(wrong[1])}`, "give its bytes or a Blob")
  return new Map(entries as [string, Uint8Array | ArrayBuffer | Blob][])
}

function notASource(source: unknown): UserError {
  return new UserError(`a model was expected, not ${kindOf(source)}`, sourceHint)
}

const sourceHint =
  'give a name, a folder, an address, or files: { "mobileclip.json": bytes, "onnx/vision_model.onnx": bytes, ... }'

/** A file of a folder that was chosen has the folder's name before its own path. */
function named(file: unknown): [string, unknown] {
  if (!(file instanceof File)) throw notASource(file)
  const { webkitRelativePath = "" } = file as { readonly webkitRelativePath?: string }
  return [webkitRelativePath.split("/").slice(1).join("/") || file.name, file]
}

function isContent(value: unknown): boolean {
  return value instanceof Uint8Array || value instanceof ArrayBuffer || value instanceof Blob
}

/** ONNX Runtime reads files: large ones have their weights beside them. */
async function writeFiles(
  files: ReadonlyMap<string, Uint8Array | ArrayBuffer | Blob>,
  { dtype, towers, signal }: SourceOptions,
): Promise<OpenSource> {
  const name = "the set of files"
  const needed = findOnnxFiles([...files.keys()], dtype ?? null, name, towers)?.files ?? [...files.keys()]
  const folder = temporaryFolder("model")
  try {
    for (const file of needed) {
      await write(join(folder.path, requireInside(file, name)), files.get(file)!, signal)
    }
  } catch (error) {
    folder[Symbol.dispose]()
    throw error
  }
  return { name: "files", directory: folder.path, temporary: folder }
}

async function write(path: string, content: Uint8Array | ArrayBuffer | Blob, signal: AbortSignal | undefined) {
  await makeDirectory(dirname(path))
  const data =
    content instanceof Blob ? content.stream() : content instanceof ArrayBuffer ? new Uint8Array(content) : content
  try {
    await writeFile(path, data, signal ? { signal } : {})
  } catch (error) {
    throw fileError(error, "writing", path)
  }
}
