/** A model's files, and the model in them, on the runtime of a worker. */
import { textBatch } from "../../core/text/token-rows.ts"
import { type Captioner, captionerOf } from "../../run/caption/captioner.ts"
import type { ClipInfo, LoadProgress, Towers } from "../../run/clip-host.ts"
import { checkedModel, type Graphs, type Model, modelOf } from "../../run/model.ts"
import type { FindRequest, Found, TowerName } from "../protocol.ts"
import { type ModelFiles, openModelFiles, type TowerFileNames } from "../weights/model-source.ts"
import { browserHost, sha256 } from "../weights/web-host.ts"
import { type GraphFiles, type Runtime, Turns, WebGraph } from "./web-graph.ts"

/** What each call gets beside its arguments. */
export interface CallContext {
  readonly signal: AbortSignal
  readonly onProgress: (progress: LoadProgress) => void
}

// ---------------------------------------------------------------------------------------------------------- files

/** On a device without float16, weights in float32 where the source has both. Throws UserError where there is no such model. */
export async function findFiles(
  { source, baseUrl, towers, dtype, hub, revalidate, hasFloat16 }: FindRequest,
  { signal, onProgress }: CallContext,
): Promise<ModelFiles> {
  const options = { towers, signal, onProgress, hub, revalidate }
  const host = { ...browserHost(), baseUrl }
  if (dtype) return openModelFiles(source, { ...options, dtype }, host)
  const files = await openModelFiles(source, options, host)
  if (hasFloat16 || files.manifest || files.image?.dtype !== "fp16") return files
  return openModelFiles(source, { ...options, dtype: "fp32" }, host).catch(() => files)
}

/** A model before its towers are read, and its files. */
export async function foundIn(
  files: ModelFiles,
  runtime: Runtime,
): Promise<{ readonly found: Found; readonly files: ModelFiles }> {
  const towers = towersIn(files)
  const needsFloat16 = towers.some((tower) => files[tower]!.dtype === "fp16")
  const found = { runtime: runtimeName(runtime), towers, needsFloat16, identity: null }
  if (runtime.device !== "webgpu") return { found, files }
  const identified = await identify(files, towers)
  return { found: { ...found, identity: identified.identity }, files: identified.files }
}

function towersIn(files: ModelFiles): TowerName[] {
  return (["image", "text"] as const).filter((tower) => files[tower] !== null)
}

/**
 * Digests of the towers. Without a manifest they are read, because an address or a name may have other contents the next time;
 * whoever opens the model gets what was read.
 */
async function identify(
  files: ModelFiles,
  towers: readonly TowerName[],
): Promise<{ readonly identity: string; readonly files: ModelFiles }> {
  const names = new Set(towers.flatMap((tower) => [files[tower]!.file, ...files[tower]!.beside]))
  const ahead = new Map<string, Uint8Array<ArrayBuffer>>()
  const digests: (string | null)[] = []
  for (const name of names) {
    const listed = files.manifest?.files[name]?.sha256
    if (!listed) ahead.set(name, await files.file(name))
    digests.push(listed ?? (await sha256(browserHost(), ahead.get(name)!)))
  }
  const file = async (name: string) => {
    const bytes = ahead.get(name)
    ahead.delete(name)
    return bytes ?? files.file(name)
  }
  return { identity: digests.join(" "), files: { ...files, file } }
}

async function readGraph(files: ModelFiles, { file, beside }: Pick<TowerFileNames, "file" | "beside">) {
  const read = async (path: string) => ({ path: path.split("/").at(-1)!, data: await files.file(path) })
  return { graph: await files.file(file), beside: await Promise.all(beside.map(read)) } satisfies GraphFiles
}

// --------------------------------------------------------------------------------------------------------- opening

export interface OpenModel {
  readonly model: Model
  readonly captioner: Captioner | null
}

/** Throws UserError where a tower cannot be opened on this device. */
export async function openModel(files: ModelFiles, runtime: Runtime, { onProgress }: CallContext): Promise<OpenModel> {
  const turns = new Turns()
  const graphOf = (tower: Pick<TowerFileNames, "file" | "beside">) =>
    new WebGraph(tower.file, runtime, turns, () => readGraph(files, tower))
  const image = files.image && graphOf(files.image)
  const text = files.text && (files.text.file === files.image?.file ? image : graphOf(files.text))
  for (const graph of new Set([image, text])) {
    if (!graph) continue
    onProgress({ stage: "open", file: graph.file, loaded: 0, total: null, from: "disk" })
    await graph.ports()
  }
  const model = await modelIn(files, image, text)
  return { model, captioner: image && captionerIn(files, image, graphOf) }
}

function modelIn(
  { manifest, description }: ModelFiles,
  image: WebGraph | null,
  text: WebGraph | null,
): Promise<Model> | Model {
  const graphs: Graphs = { image: image ?? text!, text }
  const options = { textBatch: textBatch.cpu }
  if (manifest) return modelOf(manifest, graphs, options)
  // Without a text tower the image's stands in: it is not looked at.
  return checkedModel(
    description,
    { ...graphs, text: text ?? image },
    { ...options, manifest, towers: towersOf({ image, text }) },
  )
}

function towersOf({ image, text }: Readonly<Record<TowerName, unknown>>): Towers {
  return image && text ? "both" : image ? "image" : "text"
}

function captionerIn(
  { manifest }: ModelFiles,
  image: WebGraph,
  graphOf: (tower: Pick<TowerFileNames, "file" | "beside">) => WebGraph,
): Captioner | null {
  if (!manifest) return null
  return captionerOf(manifest, image, (file) => {
    const data = `${file}_data`
    return graphOf({ file, beside: data in manifest.files ? [data] : [] })
  })
}

// ----------------------------------------------------------------------------------------------------- description

export function describeModel(files: ModelFiles, model: Model, runtime: Runtime, threads: number): ClipInfo {
  const { manifest, image, text, notes } = files
  const { name, embedDim, logitScale, preprocessing, contextLength } = model
  return {
    ...{ name, embedDim, logitScale, preprocessing, contextLength, manifest, threads },
    license: manifest?.license ?? null,
    towers: towersOf(files),
    runtime: runtimeName(runtime),
    device: runtime.device,
    dtype: { ...(image && { image: image.dtype }), ...(text && { text: text.dtype }) },
    notes: [...notes],
  }
}

function runtimeName({ ort }: Runtime): string {
  return `onnxruntime-web ${ort.env.versions.web ?? ort.env.versions.common}`
}
