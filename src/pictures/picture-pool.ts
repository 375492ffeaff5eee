/** Decodes pictures and prepares their pixels for models, in threads of its own or, with none, as far as possible beside the event loop. */
import { isJpeg, jpegDecoder } from "../../jpeg/index.ts"
import type { Image8 } from "../core/image/pixels.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import { decodeImage } from "../host/image/images.ts"
import { ThreadPool } from "../host/thread-pool.ts"
import type { Wanted } from "./pixel-plan.ts"
import { fillFrom, type PixelOptions, preparePixels } from "./prepare-pixels.ts"

interface Picture {
  /** For messages. */
  readonly name: string
  /** The picture's file. */
  readonly bytes: Uint8Array
}

export interface PictureRequest extends Picture {
  readonly targets: readonly Preprocessing[]
  readonly wantsImage: boolean
  readonly options: PixelOptions
}

export interface MadePicture {
  /** For each target [3, size, size]. */
  readonly pixels: readonly Float32Array<ArrayBuffer>[]
  /** Decoded; null where nobody wants it. */
  readonly image: Image8 | null
}

interface PrepareOptions extends PixelOptions {
  /** Whether the decoded picture is wanted too. */
  readonly wantsImage?: boolean
}

export class PicturePool implements AsyncDisposable {
  /** Pictures that are worked on at the same time. More would only take memory: a photograph takes up to 300 MB. */
  readonly parallel: number
  private readonly pool: ThreadPool<PictureRequest, MadePicture>

  constructor(private readonly threads: number) {
    this.parallel = Math.max(8, 2 * threads)
    this.pool = new ThreadPool({ program: [import.meta.url, "picture-worker"], name: "pictures", threads })
  }

  /**
   * Writes the pixels where they are wanted, and returns the decoded picture where it is.
   *
   * @throws UserError where the picture is damaged, cut off or not a picture
   */
  async prepare(
    { name, bytes }: Picture,
    wanted: readonly Wanted[],
    { wantsImage = false, ...options }: PrepareOptions = {},
  ): Promise<Image8 | null> {
    // The addon has threads of its own, and writes its pixels in place.
    const isBeside = !wantsImage && jpegDecoder !== null && isJpeg(bytes)
    if (this.threads > 0 && !isBeside) return this.inThread({ name, bytes }, wanted, { wantsImage, ...options })
    if (!wantsImage) {
      await preparePixels(bytes, wanted, { ...options, name }, "beside")
      return null
    }
    const image = await decodeImage(bytes, { ...options, name })
    fillFrom(image, wanted)
    return image
  }

  private async inThread(picture: Picture, wanted: readonly Wanted[], { wantsImage, ...options }: PrepareOptions) {
    const targets = wanted.map(({ preprocessing }) => preprocessing)
    // A view of a larger buffer would be sent with all of it.
    const bytes = new Uint8Array(picture.bytes)
    const request = { ...picture, bytes, targets, wantsImage: wantsImage ?? false, options }
    const made = await this.pool.ask(request, { transfer: [bytes.buffer] })
    for (const [i, pixels] of made.pixels.entries()) wanted[i]!.out.set(pixels)
    return made.image
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
  }
}
