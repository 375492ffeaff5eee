/** What a worker does for a page: it finds a model, opens its towers, and encodes with them. */
import { concatenate } from "../../core/arrays/concatenate.ts"
import { inputImage } from "../../core/arrays/fill.ts"
import { UserError } from "../../core/errors.ts"
import { preprocessBatch } from "../../core/image/preprocess.ts"
import { textBatch } from "../../core/text/token-rows.ts"
import { Captioner, type CaptionOptions, GraphRuntime } from "../../run/captioner.ts"
import type { ClipInfo, LoadProgress } from "../../run/clip-host.ts"
import { checkedModel, type Graphs, type Model, modelOf } from "../../run/model.ts"
import { selfTestRows, selfTestTexts } from "../../run/self-test.ts"
import { decodePicture } from "../pictures/decode.ts"
import { inOrder } from "../pictures/in-order.ts"
import { JpegDecoder } from "../pictures/jpeg.ts"
import type { SentPicture } from "../pictures/picture.ts"
import type { Calls, FindRequest, Found, StartRequest, TowerName } from "../protocol.ts"
import { type ModelFiles, openModelFiles, type TowerFileNames } from "../weights/model-source.ts"
import { browserHost } from "../weights/web-host.ts"
import { type GraphFiles, type Runtime, Turns, WebGraph } from "./web-graph.ts"

/** What each call gets beside its arguments. */
export interface CallContext {
  readonly signal: AbortSignal
  readonly onProgress: (progress: LoadProgress) => void
}

/** Pictures that are decoded and encoded at once: more are no faster, and take memory. */
const imageBatch = 8

type Offered = { [Name in keyof Calls]: (...args: never[]) => Promise<ReturnType<Calls[Name]>> }

export class Computer implements Offered {
  private files: ModelFiles | null = null
  private opened: Opened | null = null
  private jpeg: JpegDecoder | null = null

  constructor(private readonly runtime: Runtime) {}

  /** Throws UserError where there is no such model. */
  async find(context: CallContext, request: FindRequest): Promise<Found> {
    const files = await openFiles(request, context)
    this.files = files
    const towers = towersIn(files)
    return {
      identity: identityOf(files, towers),
      runtime: runtimeName(this.runtime),
      towers,
      needsFloat16: towers.some((tower) => files[tower]!.dtype === "fp16"),
    }
  }

  /** Throws UserError where a tower cannot be opened on this device. */
  async start(context: CallContext, request: StartRequest): Promise<ClipInfo> {
    const files = this.files!
    configure(this.runtime, request)
    this.jpeg = request.decode === "exact" ? new JpegDecoder(request.jpegUrl) : null
    this.opened = await open(files, this.runtime, context)
    return describeModel(files, this.opened.model, this.runtime, request.threads)
  }

  /** By the way that users' pictures and texts take. */
  async probe(_: CallContext, tower: TowerName): Promise<Float32Array<ArrayBuffer>> {
    const { model } = this.ready
    if (tower === "text") return owned(await model.encodeTexts(selfTestTexts))
    return owned(await model.encodePixels(inputImage(model.preprocessing.size, selfTestRows), selfTestRows))
  }

  async encodeImages({ signal }: CallContext, pictures: readonly SentPicture[]): Promise<Float32Array<ArrayBuffer>> {
    const { model } = this.ready
    const parts: Float32Array[] = []
    for (let start = 0; start < pictures.length; start += imageBatch) {
      signal.throwIfAborted()
      const some = pictures.slice(start, start + imageBatch)
      const images = await this.decodeAll(some, signal)
      parts.push(await model.encodePixels(preprocessBatch(images, model.preprocessing), some.length))
    }
    return owned(concatenate(parts))
  }

  async encodeTexts({ signal }: CallContext, texts: readonly string[]): Promise<Float32Array<ArrayBuffer>> {
    return owned(await this.ready.model.encodeTexts(texts, { signal }))
  }

  async caption(
    { signal }: CallContext,
    pictures: readonly SentPicture[],
    options: CaptionOptions,
  ): Promise<string[][]> {
    const { captioner, model } = this.ready
    if (!captioner) throw new UserError(`${model.name} is not a captioner: it has no decoder`, "load a captioner")
    return captioner.caption(await this.decodeAll(pictures, signal), options)
  }

  private get ready(): Opened {
    return this.opened!
  }

  private decodeAll(pictures: readonly SentPicture[], signal: AbortSignal) {
    return inOrder(pictures.map((picture) => decodePicture(picture, this.jpeg, signal)))
  }
}

/** Rows that can be handed over: no memory of a runtime, and no part of a larger array. */
function owned(rows: Float32Array): Float32Array<ArrayBuffer> {
  return rows.byteLength === rows.buffer.byteLength && rows.buffer instanceof ArrayBuffer
    ? (rows as Float32Array<ArrayBuffer>)
    : Float32Array.from(rows)
}

// ---------------------------------------------------------------------------------------------------------- files

/** On a device without float16 weights in float32 where the source has them. */
async function openFiles(
  { source, baseUrl, towers, dtype, hub, revalidate, hasFloat16 }: FindRequest,
  { signal, onProgress }: CallContext,
): Promise<ModelFiles> {
  const options = { towers, signal, onProgress, ...(hub && { hub }), ...(revalidate !== undefined && { revalidate }) }
  const host = { ...browserHost(), baseUrl }
  if (dtype) return openModelFiles(source, { ...options, dtype }, host)
  const files = await openModelFiles(source, options, host)
  if (hasFloat16 || files.manifest || files.image?.dtype !== "fp16") return files
  return openModelFiles(source, { ...options, dtype: "fp32" }, host).catch(() => files)
}

function towersIn(files: ModelFiles): TowerName[] {
  return (["image", "text"] as const).filter((tower) => files[tower] !== null)
}

function identityOf({ manifest, where, ...files }: ModelFiles, towers: readonly TowerName[]): string {
  const names = towers.flatMap((tower) => [files[tower]!.file, ...files[tower]!.beside])
  return names.map((name) => manifest?.files[name]?.sha256 ?? `${where} ${name}`).join(" ")
}

async function readGraph(files: ModelFiles, { file, beside }: Pick<TowerFileNames, "file" | "beside">) {
  const read = async (path: string) => ({ path: path.split("/").at(-1)!, data: await files.file(path) })
  return { graph: await files.file(file), beside: await Promise.all(beside.map(read)) } satisfies GraphFiles
}

// --------------------------------------------------------------------------------------------------------- opening

interface Opened {
  readonly model: Model
  readonly captioner: Captioner | null
}

function configure({ device, ort }: Runtime, { threads, runtimeUrl }: StartRequest): void {
  ort.env.wasm.numThreads = threads
  if (runtimeUrl !== null) ort.env.wasm.wasmPaths = { wasm: runtimeUrl }
  if (device === "webgpu") ort.env.webgpu.powerPreference = "high-performance"
}

async function open(files: ModelFiles, runtime: Runtime, { onProgress }: CallContext): Promise<Opened> {
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
  const towers = image && text ? "both" : image ? "image" : "text"
  // Without a text tower the image's stands in: it is not looked at.
  return checkedModel(description, { ...graphs, text: text ?? image }, { ...options, manifest, towers })
}

function captionerIn(
  { manifest }: ModelFiles,
  image: WebGraph,
  graphOf: (tower: Pick<TowerFileNames, "file" | "beside">) => WebGraph,
): Captioner | null {
  if (!manifest?.decoder || !manifest.towers.decoder) return null
  const { image: imageFile, decoder: decoderFile } = manifest.towers
  const data = `${decoderFile.file}_data`
  const graph = graphOf({ file: decoderFile.file, beside: data in manifest.files ? [data] : [] })
  const graphs = { image: { ...imageFile, graph: image }, decoder: { ...decoderFile, graph } }
  return new Captioner({ ...manifest, decoder: manifest.decoder }, new GraphRuntime(manifest.decoder, graphs))
}

// ----------------------------------------------------------------------------------------------------- description

function describeModel(files: ModelFiles, model: Model, runtime: Runtime, threads: number): ClipInfo {
  const { manifest, image, text, notes } = files
  const { name, embedDim, logitScale, preprocessing, contextLength } = model
  return {
    ...{ name, embedDim, logitScale, preprocessing, contextLength, manifest, threads },
    license: manifest?.license ?? null,
    towers: image && text ? "both" : image ? "image" : "text",
    runtime: runtimeName(runtime),
    device: runtime.device,
    dtype: { ...(image && { image: image.dtype }), ...(text && { text: text.dtype }) },
    notes: [...notes],
  }
}

function runtimeName({ ort }: Runtime): string {
  return `onnxruntime-web ${ort.env.versions.web ?? ort.env.versions.common}`
}
