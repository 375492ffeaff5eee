/** What a worker does for a page: it finds a model, opens it, and encodes with it. */
import { concatenate } from "../../core/arrays/concatenate.ts"
import { inputImage } from "../../core/arrays/fill.ts"
import { preprocessBatch } from "../../core/image/preprocess.ts"
import { inOrder } from "../../core/parallel.ts"
import { captionAll } from "../../run/caption/caption-each.ts"
import { type CaptionOptions, withoutDecoder } from "../../run/caption/captioner.ts"
import type { ClipInfo } from "../../run/clip-host.ts"
import { selfTestRows, selfTestTexts } from "../../run/self-test.ts"
import { decodePicture } from "../pictures/decode.ts"
import { JpegDecoder } from "../pictures/jpeg.ts"
import type { SentPicture } from "../pictures/picture.ts"
import type { Calls, FindRequest, Found, StartRequest, TowerName } from "../protocol.ts"
import type { ModelFiles } from "../weights/model-source.ts"
import { type CallContext, describeModel, findFiles, foundIn, type OpenModel, openModel } from "./open-model.ts"
import type { Runtime } from "./web-graph.ts"

/** Pictures that are decoded and encoded at once: more are no faster, and take memory. */
const imageBatch = 8

type Offered = { [Name in keyof Calls]: (...args: never[]) => Promise<ReturnType<Calls[Name]>> }

export class Computer implements Offered {
  private files: ModelFiles | null = null
  private opened: OpenModel | null = null
  private jpeg: JpegDecoder | null = null

  constructor(private readonly runtime: Runtime) {}

  /** Throws UserError where there is no such model. */
  async find(context: CallContext, request: FindRequest): Promise<Found> {
    this.files = await findFiles(request, context)
    return foundIn(this.files, this.runtime)
  }

  /** Throws UserError where a tower cannot be opened on this device. */
  async start(context: CallContext, request: StartRequest): Promise<ClipInfo> {
    const files = this.files!
    configure(this.runtime, request)
    this.jpeg = request.decode === "exact" ? new JpegDecoder(request.jpegUrl) : null
    this.opened = await openModel(files, this.runtime, context)
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
    if (!captioner) throw withoutDecoder(model.name)
    return captionAll(captioner, pictures, (batch) => this.decodeAll(batch, signal), options)
  }

  private get ready(): OpenModel {
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

function configure({ device, ort }: Runtime, { threads, runtimeUrl }: StartRequest): void {
  ort.env.wasm.numThreads = threads
  if (runtimeUrl !== null) ort.env.wasm.wasmPaths = { wasm: runtimeUrl }
  if (device === "webgpu") ort.env.webgpu.powerPreference = "high-performance"
}
