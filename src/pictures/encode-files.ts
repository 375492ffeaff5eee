/** Files of pictures to vectors of one or several models: each is decoded once. */
import { batchesOf } from "../core/arrays/batches.ts"
import { UserError } from "../core/errors.ts"
import { type Preprocessing, preprocess } from "../core/image/preprocess.ts"
import { type DecodeOptions, decodeImage } from "../host/image/images.ts"

/** A picture's file: its path, or its bytes with a name for messages. */
export type PictureSource = string | { readonly name: string; readonly bytes: Uint8Array }

/** What takes pixels. */
export interface PixelEncoder {
  readonly name: string
  readonly embedDim: number
  readonly preprocessing: Preprocessing
  /** Normalised pixels [count, 3, size, size] -> [count, embedDim] */
  encodePixels(pixels: Float32Array, count: number): Promise<Float32Array>
}

export interface EncodeFilesOptions {
  readonly decode?: Pick<DecodeOptions, "exif" | "maxPixels" | "truncated"> | undefined
  /** Pictures that a tower takes at a time. */
  readonly batchSize?: number
  /** Threads that decode. */
  readonly threads?: number
  readonly signal?: AbortSignal | undefined
}

export type EncodedFile<Source extends PictureSource = PictureSource> = {
  readonly source: Source
} & (
  | {
      /** For each encoder [embedDim], as its tower gives them. */
      readonly vectors: readonly Float32Array[]
    }
  | { readonly error: UserError }
)

/** In the order of the sources, a batch at a time. One that cannot be decoded gives the reason, and the others go on. */
export async function* encodeFiles<Source extends PictureSource>(
  sources: Iterable<Source> | AsyncIterable<Source>,
  encoders: readonly PixelEncoder[],
  { decode = {}, batchSize = 8, signal }: EncodeFilesOptions = {},
): AsyncGenerator<EncodedFile<Source>[]> {
  for await (const batch of batchesOf(sources, batchSize)) {
    signal?.throwIfAborted()
    const images = await Promise.all(batch.map((source) => decodeSource(source, decode)))
    const decoded = images.flatMap((image) => (image instanceof UserError ? [] : [image]))
    const all = await Promise.all(
      encoders.map(async (encoder) => {
        const { preprocessing, embedDim } = encoder
        const length = 3 * preprocessing.size ** 2
        const pixels = new Float32Array(decoded.length * length)
        for (const [i, image] of decoded.entries())
          preprocess(image, preprocessing, pixels.subarray(i * length, (i + 1) * length))
        const rows = decoded.length === 0 ? pixels : await encoder.encodePixels(pixels, decoded.length)
        return decoded.map((_, i) => rows.slice(i * embedDim, (i + 1) * embedDim))
      }),
    )
    let next = 0
    yield batch.map((source, i) => {
      const image = images[i]!
      if (image instanceof UserError) return { source, error: image }
      const place = next++
      return { source, vectors: all.map((rows) => rows[place]!) }
    })
  }
}

async function decodeSource(source: PictureSource, options: DecodeOptions) {
  try {
    return typeof source === "string"
      ? await decodeImage(source, options)
      : await decodeImage(source.bytes, { ...options, name: source.name })
  } catch (error) {
    if (error instanceof UserError) return error
    throw error
  }
}
