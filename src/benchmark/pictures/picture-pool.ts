/** Decodes pictures and prepares their pixels for models, in threads of its own or, with none, as far as possible beside the event loop. */
import type { Image8 } from "../../core/image/pixels.ts"
import { type Preprocessing, preprocess } from "../../core/image/preprocess.ts"
import { decodeImage } from "../../host/image/images.ts"
import { ThreadPool } from "../../host/thread-pool.ts"

export interface PictureRequest {
  /** For messages. */
  readonly name: string
  /** The picture's file. */
  readonly bytes: Uint8Array
  readonly targets: readonly Preprocessing[]
  readonly wantsImage: boolean
}

export interface MadePicture {
  /** For each target [3, size, size]. */
  readonly pixels: readonly Float32Array<ArrayBuffer>[]
  /** Decoded; null where nobody wants it. */
  readonly image: Image8 | null
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
   * Writes the pixels for each target into its row, and returns the decoded picture where it is wanted.
   *
   * @throws UserError where the picture is damaged, cut off or not a picture
   */
  async prepare(request: PictureRequest, rows: readonly Float32Array[]): Promise<Image8 | null> {
    const { name, targets, wantsImage } = request
    if (this.threads === 0) {
      const image = await decodeImage(request.bytes, { name })
      for (const [i, target] of targets.entries()) preprocess(image, target, rows[i])
      return wantsImage ? image : null
    }
    // A view of a larger buffer would be sent with all of it.
    const bytes = new Uint8Array(request.bytes)
    const made = await this.pool.ask({ ...request, bytes }, { transfer: [bytes.buffer] })
    for (const [i, pixels] of made.pixels.entries()) rows[i]!.set(pixels)
    return made.image
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
  }
}
