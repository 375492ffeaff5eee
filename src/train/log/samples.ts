/** Some pairs as the model saw them: pictures and tokens of a batch, converted back into JPEGs and text. */
import sharp from "sharp"
import { type Image8, image8 } from "../../core/image/pixels.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { Tokenizer } from "../../core/text/tokenizer.ts"
import type { EventPicture } from "./tensorboard/events.ts"

/** The part of a training batch that is shown: [N, 3, S, S], [N, L], [N, L]. */
export interface SeenBatch {
  readonly images: Float32Array
  readonly tokens: BigInt64Array
  readonly synthetic?: BigInt64Array | undefined
}

export interface SeenSample {
  readonly jpeg: Uint8Array
  /** Decoded from the tokens: lower case, cut at the context length. */
  readonly caption: string
  readonly synthetic?: string
}

interface SeenOptions {
  readonly preprocessing: Preprocessing
  readonly tokenizer: Pick<Tokenizer, "decode">
  readonly contextLength: number
  /** The most samples that are given. */
  readonly count: number
}

export async function seenSamples(batch: SeenBatch, options: SeenOptions): Promise<SeenSample[]> {
  const { preprocessing, contextLength } = options
  const count = Math.min(options.count, batch.tokens.length / contextLength)
  const row = (ids: BigInt64Array, i: number) =>
    captionOf(ids.subarray(i * contextLength, (i + 1) * contextLength), options.tokenizer)
  return Promise.all(
    Array.from({ length: count }, async (_, i) => ({
      jpeg: await jpegOf(seenPicture(batch.images, i, preprocessing)),
      caption: row(batch.tokens, i),
      ...(batch.synthetic && { synthetic: row(batch.synthetic, i) }),
    })),
  )
}

/** The first pictures of a batch in rows, as one PNG. */
export async function pictureGrid(
  images: Float32Array,
  preprocessing: Preprocessing,
  { columns, rows }: { readonly columns: number; readonly rows: number },
): Promise<EventPicture> {
  const { size } = preprocessing
  const [width, height] = [columns * size, rows * size]
  const count = Math.min(columns * rows, images.length / (3 * size * size))
  const pixels = new Uint8Array(3 * width * height)
  for (let i = 0; i < count; i++) {
    const { data } = seenPicture(images, i, preprocessing)
    const [left, top] = [(i % columns) * size, Math.floor(i / columns) * size]
    for (let y = 0; y < size; y++) {
      pixels.set(data.subarray(3 * y * size, 3 * (y + 1) * size), 3 * ((top + y) * width + left))
    }
  }
  const file = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
  return { width, height, file }
}

/** Row `index` of [N, 3, S, S] back to bytes: value * std + mean. */
function seenPicture(images: Float32Array, index: number, { size, mean, std }: Preprocessing): Image8 {
  const area = size * size
  const data = new Uint8ClampedArray(3 * area)
  for (let channel = 0; channel < 3; channel++) {
    const start = (3 * index + channel) * area
    for (let i = 0; i < area; i++) {
      data[3 * i + channel] = 255 * (images[start + i]! * std[channel]! + mean[channel]!)
    }
  }
  return image8(size, size, data)
}

function captionOf(ids: BigInt64Array, tokenizer: Pick<Tokenizer, "decode">): string {
  return tokenizer
    .decode(ids)
    .replaceAll(/<(start|end)_of_text>/g, "")
    .trim()
}

async function jpegOf({ data, width, height }: Image8): Promise<Uint8Array> {
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 85 })
    .toBuffer()
}
