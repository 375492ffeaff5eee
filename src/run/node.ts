/** Folders of models in Node, on onnxruntime-node. */
import { existsSync, statSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { basename, join, resolve } from "node:path"
import { oneLine, UserError } from "../core/errors.ts"
import { type Manifest, manifestFile, parseManifest } from "../core/inference/manifest.ts"
import { dtypeInName, findOnnxFiles, neededFiles, type OnnxFiles, type Towers } from "../core/inference/onnx-files.ts"
import type { WeightsFile } from "../core/inference/teacher-identity.ts"
import { dtypeOfPart, type OnnxDtype } from "../core/precision.ts"
import { textBatch } from "../core/text/token-rows.ts"
import { fileError } from "../host/files/file-error.ts"
import { readJson } from "../host/files/files.ts"
import { sha256OfFile } from "../host/files/hash.ts"
import { type Captioner, type CaptionerModel, captionerOf, withoutDecoder } from "./caption/captioner.ts"
import { type ClipDescription, describeImmich, describeOurs, describeTransformers } from "./description.ts"
import { ModelLabelStore } from "./label-store.ts"
import type { LoadOptions } from "./load-options.ts"
import { checkedModel, type Graphs, type Model, modelOf } from "./model.ts"
import { openGraph } from "./session.ts"
import { GraphTower, type TowerPlace } from "./tower.ts"

/**
 * The CLIP in `directory`, of our own layout, transformers.js' or Immich's. In ours, a tower is read when it is first used;
 * in the others both are run once. Throws UserError when there is none, or its files contradict each other or are not those
 * that the manifest lists.
 */
export async function loadModel(directory: string, options: LoadOptions = {}): Promise<Model> {
  return openFolder(await readClipFolder(directory, { towers: options.towers }), options)
}

/** The model of a folder that was read. Throws UserError as `loadModel` does. */
export async function openFolder(folder: ClipFolder, options: LoadOptions): Promise<Model> {
  return folder.manifest
    ? modelOf(folder.manifest, graphsOf(folder, options), optionsOf(folder, options))
    : runOnce(folder, options)
}

/** The model of a folder, which has computed something. Throws UserError as `loadModel` does. */
export async function runOnce(
  folder: ClipFolder,
  { towers = "both", ...options }: LoadOptions,
  graphs = graphsOf(folder, options),
  modelOptions = optionsOf(folder, options),
): Promise<Model> {
  const { description, manifest } = folder
  try {
    return await checkedModel(description, graphs, { ...modelOptions, manifest, towers })
  } catch (error) {
    await Promise.all([graphs.image.release(), graphs.text?.release()])
    throw error
  }
}

export function optionsOf(folder: ClipFolder, options: LoadOptions) {
  const { directory, image: file, text, description } = folder
  const { provider = "cpu", cache = true } = options
  const place = { directory, file, names: description.image, imageSize: description.preprocessing.size }
  // A graph of both towers would compute a text with each picture.
  const isAlone = text !== file
  return {
    textBatch: textBatch[provider === "cuda" ? "cuda" : "cpu"],
    place: provider === "cpu" && isAlone ? place : null,
    labelStore: cache && text !== null ? new ModelLabelStore({ ...folder, text }, options) : null,
  }
}

/** The image tower of a model that is open elsewhere, alone. */
export function openTower({ directory, file, names, imageSize }: TowerPlace, options: LoadOptions = {}): GraphTower {
  return new GraphTower(openGraph(directory, file, options), names, imageSize)
}

export function graphsOf({ directory, image, text }: ClipFolder, options: LoadOptions): Graphs {
  const open = (file: string) => openGraph(directory, file, options)
  const first = open(image)
  return { image: first, text: text === image ? first : text === null ? null : open(text) }
}

/** The captioner in `directory`. Throws UserError when there is none, or its files are not those of the manifest. */
export async function loadCaptioner(
  directory: string,
  options: LoadOptions = {},
): Promise<Captioner<Manifest & CaptionerModel>> {
  const manifest = await readManifest(directory)
  const open = (file: string) => openGraph(directory, file, options)
  const captioner = captionerOf(manifest, open(manifest.towers.image.file), open)
  if (captioner) return captioner
  throw withoutDecoder(`${manifest.name} in ${directory}`)
}

/** Where a folder has the towers of a CLIP, and what its files say of it. */
export interface ClipFolder {
  readonly directory: string
  readonly description: ClipDescription
  readonly manifest: Manifest | null
  /** Relative to the folder. */
  readonly image: string
  readonly text: string | null
  /** With the hashes of the files, which are read for it where no manifest says them. */
  weights(): Promise<WeightsFile[]>
}

/** The type of a tower's weights. */
export function folderDtype({ manifest, image, text }: ClipFolder, tower: "image" | "text" = "image"): OnnxDtype {
  if (manifest) return dtypeOfPart(manifest.dtype, tower)
  const file = tower === "text" && text !== null ? text : image
  return dtypeInName(file)
}

export interface FolderOptions {
  /** Which of its towers are wanted: files of the others need not be there (default: both). */
  readonly towers?: Towers | undefined
  /** Type of the weights, where a folder has several (default: fp32 where it is there). */
  readonly dtype?: OnnxDtype | null | undefined
  /** In messages (default: what the files say, or the folder's name). */
  readonly name?: string | undefined
}

/** Throws UserError where there is no CLIP of a known layout, or its files lack something. */
export async function readClipFolder(directory: string, options: FolderOptions = {}): Promise<ClipFolder> {
  const paths = await filesIn(directory)
  const files = findOnnxFiles(paths, options.dtype ?? null, directory, options.towers)
  if (!files) throw noModel(directory, paths)
  return files.layout === "mobileclip" ? ours(directory, options) : others(directory, files, options)
}

/** Relative paths with forward slashes. Towers lie two folders deep at most. */
async function filesIn(directory: string): Promise<string[]> {
  if (!existsSync(directory)) throw new UserError(`there is no model in ${directory}: it does not exist`, neededFiles)
  try {
    const top = await readdir(directory, { withFileTypes: true })
    const below = top
      .filter((entry) => ["onnx", "visual", "textual"].includes(entry.name))
      .map(async ({ name }) => (await readdir(join(directory, name))).map((file) => `${name}/${file}`))
    return [...top.map(({ name }) => name), ...(await Promise.all(below)).flat()]
  } catch (error) {
    throw fileError(error, "reading", directory)
  }
}

function noModel(directory: string, paths: readonly string[]): UserError {
  const shown = [...paths].sort().slice(0, 6).join(", ")
  const found = paths.length === 0 ? "it is empty" : `it has ${oneLine(shown, 400)}${paths.length > 6 ? ", ..." : ""}`
  return new UserError(`there is no model in ${directory}: ${found}`, neededFiles)
}

async function ours(directory: string, { dtype, name, towers: wanted }: FolderOptions): Promise<ClipFolder> {
  const manifest = await readManifest(directory, wanted)
  const { towers } = manifest
  if (dtype) requireDtype(manifest, dtype, directory)
  const described = describeOurs(manifest)
  const [image, text] = [towers.image.file, towers.text?.file ?? null]
  return {
    ...{ directory, manifest, image, text },
    description: { ...described, name: name ?? described.name },
    weights: async () => listedHashes(manifest, text === null ? [image] : [image, text]),
  }
}

/** Throws UserError where the weights are of another type. */
export function requireDtype({ dtype }: Manifest, wanted: OnnxDtype, directory: string): void {
  if (dtype === wanted) return
  throw new UserError(`${directory} is in ${dtype}, not ${wanted}`, "convert it again, or leave out --dtype")
}

/** The files of graphs, and of the weights beside them, as a manifest has them. */
export function listedHashes({ files }: Manifest, graphs: readonly string[]): WeightsFile[] {
  const all = graphs.flatMap((file) => [file, `${file}_data`]).filter((file) => file in files)
  return all.map((file) => ({ file, sha256: files[file]!.sha256 }))
}

async function others(
  directory: string,
  { layout, image, text, files }: Exclude<OnnxFiles, { layout: "mobileclip" }>,
  { name = basename(resolve(directory)) }: FolderOptions,
): Promise<ClipFolder> {
  const required = (file: string) => readJson(join(directory, file), "a model's configuration")
  const json = { required, optional: async (file: string) => (files.includes(file) ? required(file) : null) }
  const describe = layout === "immich" ? describeImmich : describeTransformers
  const weights = files.filter((file) => !file.endsWith(".json"))
  const hashed = async (file: string) => ({ file, sha256: await sha256OfFile(join(directory, file)) })
  return {
    ...{ directory, manifest: null, image, text },
    description: await describe(name, json, directory),
    weights: () => Promise.all(weights.map(hashed)),
  }
}

async function readManifest(directory: string, wanted: Towers = "both"): Promise<Manifest> {
  const path = join(directory, manifestFile)
  if (!existsSync(path)) {
    throw new UserError(
      `there is no model in ${directory}: ${manifestFile} is missing`,
      "`mobileclip quickstart` and `mobileclip export` write such a directory",
    )
  }
  const manifest = parseManifest(await readJson(path, "a model's manifest"), path)
  const { text, ...others } = manifest.towers
  const used = { ...(wanted !== "text" && others), ...(wanted !== "image" && { text }) }
  const graphs = Object.values(used).flatMap((tower) => (tower ? [tower.file] : []))
  const beside = graphs.map((file) => `${file}_data`).filter((file) => file in manifest.files)
  for (const file of [...graphs, ...beside]) checkSize(join(directory, file), manifest.files[file]?.bytes)
  return manifest
}

/** Tells a copy that was cut off from a fault of the runtime. */
function checkSize(path: string, expected: number | undefined): void {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size
  if (bytes !== undefined && bytes === expected) return
  throw new UserError(
    bytes === undefined ? `${path} is missing` : `${path} has ${bytes} bytes, and ${manifestFile} says ${expected}`,
    "copy or export the model again",
  )
}
