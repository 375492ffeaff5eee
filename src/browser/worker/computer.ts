/** What a worker does for a page: it finds a model, opens it, and encodes with it. */
import { concatenate } from "../../core/arrays/concatenate.ts"
import { inputImage } from "../../core/arrays/fill.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import { preprocess } from "../../core/image/preprocess.ts"
import { forEachConcurrently } from "../../core/parallel.ts"
import { captionAll } from "../../run/caption/caption-each.ts"
import { type CaptionOptions, withoutDecoder } from "../../run/caption/captioner.ts"
import type { ClipInfo, LoadProgress } from "../../run/clip-host.ts"
import { selfTestRows, selfTestTexts } from "../../run/self-test.ts"
import { type Decoding, decodePicture } from "../pictures/decode.ts"
import { JpegDecoder } from "../pictures/jpeg.ts"
import type { SentPicture } from "../pictures/picture.ts"
import type { Calls, FindRequest, Found, StartRequest, TowerName } from "../protocol.ts"
import type { ModelFiles } from "../weights/model-source.ts"
import { type CallContext, describeModel, findFiles, foundIn, type OpenModel, openModel } from "./open-model.ts"
import type { Runtime } from "./web-graph.ts"

/** Pictures that are encoded at once: more are no faster. */
const imageBatch = 8
/** Pictures that are decoded at once: one by the browser while another one is resized. Each takes up to 800 MB. */
const decodedAtOnce = 2

type Offered = { [Name in keyof Calls]: (...args: never[]) => Promise<ReturnType<Calls[Name]>> }

export class Computer implements Offered {
  private files: ModelFiles | null = null
  private opened: OpenModel | null = null
  /** Reports the progress of the call that is waited for, which need not be the one that found the files. */
  private report: CallContext["onProgress"] = () => {}
  private decoding: Decoding | null = null

  constructor(private readonly runtime: Runtime) {}

  /** Throws UserError where there is no such model. */
  async find(context: CallContext, request: FindRequest): Promise<Found> {
    this.report = context.onProgress
    const reporting = { ...context, onProgress: (progress: LoadProgress) => this.report(progress) }
    const { found, files } = await foundIn(await findFiles(request, reporting), this.runtime)
    this.files = files
    return found
  }

  /** Throws UserError where a tower cannot be opened on this device. */
  async start(context: CallContext, request: StartRequest): Promise<ClipInfo> {
    const files = this.files!
    this.report = context.onProgress
    configure(this.runtime, request)
    const { decode, jpegUrl, orientation, maxPixels } = request
    this.decoding = { jpeg: decode === "exact" ? new JpegDecoder(jpegUrl) : null, orientation, maxPixels }
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
    const { size } = model.preprocessing
    const parts: Float32Array[] = []
    for (let start = 0; start < pictures.length; start += imageBatch) {
      signal.throwIfAborted()
      const some = pictures.slice(start, start + imageBatch)
      const pixels = new Float32Array(some.length * 3 * size * size)
      await this.decodeEach(some, signal, (image, i) => {
        preprocess(image, model.preprocessing, pixels.subarray(i * 3 * size * size, (i + 1) * 3 * size * size))
      })
      parts.push(await model.encodePixels(pixels, some.length))
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
    const decode = async (batch: readonly SentPicture[]) => {
      const images: Image8[] = []
      await this.decodeEach(batch, signal, (image, i) => {
        images[i] = image
      })
      return images
    }
    return captionAll(captioner, pictures, decode, options)
  }

  private get ready(): OpenModel {
    return this.opened!
  }

  private async decodeEach(
    pictures: readonly SentPicture[],
    signal: AbortSignal,
    use: (image: Image8, place: number) => void,
  ): Promise<void> {
    const how = this.decoding!
    try {
      await forEachConcurrently(pictures, decodedAtOnce, async (one, place) =>
        use(await decodePicture(one, how, signal), place),
      )
    } finally {
      how.jpeg?.release()
    }
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
