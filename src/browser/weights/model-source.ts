/** The files of a model in a browser, from a hub, a server, or the user's own: what they say, and their contents. */
import { oneLine, UserError } from "../../core/errors.ts"
import { type Manifest, parseManifest } from "../../core/inference/manifest.ts"
import { dtypeInName, findOnnxFiles, neededFiles } from "../../core/inference/onnx-files.ts"
import { jsonOrNull } from "../../core/json.ts"
import { type DirectoryDtype, dtypeOfPart, type OnnxDtype } from "../../core/precision.ts"
import type { HostLoadOptions } from "../../run/clip-host.ts"
import { type ClipDescription, describeImmich, describeOurs, describeTransformers } from "../../run/description.ts"
import type { FileSet } from "./file-set.ts"
import { openLocalFiles } from "./local-files.ts"
import { type HubAddress, type ModelSource, placeOf } from "./place.ts"
import { openRemoteFiles } from "./remote-files.ts"
import { browserHost, type WebHost } from "./web-host.ts"

export type { HubAddress, ModelSource } from "./place.ts"

export interface OpenOptions extends HostLoadOptions {
  /** Type of the weights, where the source has several. Default: the first of "mixed" (pictures in fp16, texts in fp32), fp32 and fp16 that is there. */
  readonly dtype?: DirectoryDtype | undefined
  readonly hub?: HubAddress | undefined
  /**
   * Whether the source is asked at each load whether it still has the contents that this browser keeps; default true. Without
   * an answer, and offline, what is kept is used in both cases.
   */
  readonly revalidate?: boolean | undefined
}

/** A tower's graph, and the files of its weights beside it. */
export interface TowerFileNames {
  readonly file: string
  readonly beside: readonly string[]
  /** Type of the weights. */
  readonly dtype: OnnxDtype
}

export interface ModelFiles {
  /** An address, for messages. */
  readonly where: string
  /** Null in the layouts of others. */
  readonly manifest: Manifest | null
  readonly description: ClipDescription
  /** Null where it was not asked for, or is not there. Both are the same file in some layouts of others. */
  readonly image: TowerFileNames | null
  readonly text: TowerFileNames | null
  /**
   * Whole and checked; its buffer belongs to the caller. Throws UserError for wrong contents, EnvironmentError for a network
   * that stays down, and what the signal was aborted with.
   */
  file(name: string): Promise<Uint8Array<ArrayBuffer>>
  /** Where it came from, after `file` gave it: "memory" for the user's own. */
  from(name: string): "network" | "cache" | "memory"
  /** What a user should know, in lines: what could not be kept, what was fetched again. Grows with each file. */
  readonly notes: readonly string[]
}

/** @throws UserError where there is no model of a known layout, or its files lack something */
export async function openModelFiles(
  source: ModelSource,
  options: OpenOptions = {},
  host: WebHost = browserHost(),
): Promise<ModelFiles> {
  const { signal, revalidate = true, hub = {} } = options
  signal?.throwIfAborted()
  const place = placeOf(source, hub, host.baseUrl)
  const files =
    place.kind === "files"
      ? await openLocalFiles(place.files, host)
      : await openRemoteFiles(place, { host, signal, revalidate, needed: (listing) => neededOf(listing, options) })
  return modelFilesOf(files, options)
}

async function modelFilesOf(files: FileSet, options: OpenOptions): Promise<ModelFiles> {
  const origins = new Map<string, ReturnType<ModelFiles["from"]>>()
  const file = async (name: string) => {
    if (!files.names.includes(name)) throw new UserError(`${files.where}: ${oneLine(name)} is missing`, neededFiles)
    const { bytes, from } = await files.read(name, (progress) => options.onProgress?.({ file: name, ...progress }))
    origins.set(name, from)
    return bytes
  }
  const { layout, image, text } = chosen(files, options)
  return {
    ...{ where: files.where, manifest: files.manifest, notes: files.notes, image, text },
    description: await describe(files, layout, file),
    file,
    from: (name) => origins.get(name) ?? "network",
  }
}

// ---------------------------------------------------------------------------------------------------------- files

interface Chosen extends Pick<ModelFiles, "image" | "text"> {
  readonly layout: "mobileclip" | "transformers.js" | "immich"
  /** Small files that say what the towers do not. */
  readonly sides: readonly string[]
}

type Named = Pick<FileSet, "names" | "where" | "manifest">

/** Throws UserError where there are no towers of that type. */
function chosen({ names, where, manifest }: Named, { towers = "both", dtype }: OpenOptions): Chosen {
  const pick = (tower: "image" | "text", file: string | undefined, type: OnnxDtype) => {
    if (file === undefined || (towers !== "both" && towers !== tower)) return null
    return { file, beside: names.filter((name) => name.startsWith(`${file}_data`)), dtype: type }
  }
  if (manifest) {
    const { dtype: has, towers: own } = manifest
    if (dtype && dtype !== has)
      throw new UserError(`${where}: weights are in ${has}, not ${dtype}`, "convert it again, or leave out dtype")
    const [image, text] = [own.image.file, own.text?.file]
    if (towers === "text" && !text) throw new UserError(`${where} has no text tower`, "load its image tower")
    return {
      layout: "mobileclip",
      image: pick("image", image, dtypeOfPart(has, "image")),
      text: pick("text", text, dtypeOfPart(has, "text")),
      sides: [],
    }
  }
  const found = findOnnxFiles(names, dtype ?? null, where, "both", ["mixed", "fp32", "fp16"])
  if (!found || found.layout === "mobileclip") throw new UserError(`there is no model at ${where}`, neededFiles)
  return {
    layout: found.layout,
    image: pick("image", found.image, dtypeInName(found.image)),
    text: pick("text", found.text, dtypeInName(found.text)),
    sides: found.files.filter((file) => file.endsWith(".json")),
  }
}

/** All that loading reads. */
function neededOf(listing: { files: object; source: string; manifest?: unknown }, options: OpenOptions): string[] {
  const manifest = listing.manifest ? parseManifest(listing.manifest, listing.source) : null
  const named = { names: Object.keys(listing.files), where: listing.source, manifest }
  const { image, text, sides } = chosen(named, options)
  const towers = [image, text].flatMap((tower) => (tower ? [tower.file, ...tower.beside] : []))
  return [...new Set([...towers, ...sides])]
}

// ---------------------------------------------------------------------------------------------------- description

async function describe(
  { manifest, where, name, names }: FileSet,
  layout: Chosen["layout"],
  file: ModelFiles["file"],
): Promise<ClipDescription> {
  if (manifest) return describeOurs(manifest)
  const required = async (side: string) => jsonOrNull(new TextDecoder().decode(await file(side)))
  const json = { required, optional: async (side: string) => (names.includes(side) ? required(side) : null) }
  const described = layout === "immich" ? describeImmich : describeTransformers
  return described(name ?? "model", json, where.replace(/\/$/, ""))
}
