/**
 * Pictures with captions in memory, from any WebDataset: each file is decoded once, resized and cropped to a square a
 * little larger than the model's input, and kept as bytes, 3 * side * side per picture. 10,000 pictures for an input of
 * 64 pixels take 156 MB.
 */
import { availableParallelism } from "node:os"
import { UserError } from "../core/errors.ts"
import type { Image8 } from "../core/pixels.ts"
import { type Interpolation, resizeAndCenterCrop } from "../core/resize.ts"
import { decodeImage } from "../host/images.ts"
import { mapOrdered } from "./parallel.ts"
import { metadataOf, readShard, type Sample } from "./shards.ts"

export interface Picture {
  /** Shard and key: `train/00000.tar: 000000012`. */
  readonly name: string
  /** Square. */
  readonly image: Image8
  /** The `txt` member, trimmed: the caption the picture came with. */
  readonly caption: string
  /** The `json` member, parsed, or null where there is none. */
  readonly metadata: Readonly<Record<string, unknown>> | null
}

export interface LoadOptions {
  /** Of the squares kept, in pixels; `trainingSide` of the input's for training, the input's own for evaluation. */
  readonly side: number
  readonly interpolation: Interpolation
  /** More than this many bytes of pixels are refused. */
  readonly maxBytes?: number
  /** Called after each picture with the number loaded. */
  readonly onProgress?: (loaded: number) => void
  readonly signal?: AbortSignal
}

export const defaultMaxBytes = 4 * 2 ** 30

/** Which members of a sample are pictures, in order of preference. */
const PICTURE_EXTENSIONS = ["jpg", "jpeg", "png", "webp"]

/** The side to keep for training at `size` pixels: a ninth of it is room for random crops. */
export function trainingSide(size: number): number {
  return Math.round((size * 9) / 8)
}

/**
 * The pictures of all `shards` (from `expandShards`), in order. Throws a UserError on an unreadable shard or picture, on a
 * sample without picture or caption, and when the pixels would take more than `maxBytes`.
 */
export async function loadPictures(shards: readonly string[], options: LoadOptions): Promise<Picture[]> {
  const { side, maxBytes = defaultMaxBytes } = options
  const limit = Math.floor(maxBytes / (3 * side * side))
  const pictures: Picture[] = []
  const parallel = 2 * availableParallelism()
  for await (const picture of mapOrdered(samplesOf(shards), parallel, (sample) => loadPicture(sample, options))) {
    options.signal?.throwIfAborted()
    if (pictures.length === limit) throw tooMany(limit, side, maxBytes)
    pictures.push(picture)
    options.onProgress?.(pictures.length)
  }
  return pictures
}

interface Located {
  readonly name: string
  readonly sample: Sample
}

async function* samplesOf(shards: readonly string[]): AsyncGenerator<Located> {
  for (const shard of shards) {
    for await (const sample of readShard(shard)) yield { name: `${shard}: ${sample.key}`, sample }
  }
}

async function loadPicture({ name, sample }: Located, { side, interpolation }: LoadOptions): Promise<Picture> {
  const caption = memberOf(name, sample, ["txt"], "caption")
  const bytes = memberOf(name, sample, PICTURE_EXTENSIONS, "picture")
  const metadata = metadataOf(sample, name)
  const image = resizeAndCenterCrop(await decodeImage(bytes, { name }), side, interpolation)
  return { name, image, caption: new TextDecoder().decode(caption).trim(), metadata }
}

function memberOf(name: string, { members }: Sample, extensions: readonly string[], what: string): Uint8Array {
  const extension = extensions.find((candidate) => members.has(candidate))
  if (extension) return members.get(extension)!
  const found = [...members.keys()].join(", ")
  throw new UserError(`${name}: the sample has no ${what} (${extensions.join(", ")}), only ${found}`)
}

function tooMany(limit: number, side: number, maxBytes: number): UserError {
  const gigabytes = (maxBytes / 2 ** 30).toFixed(1)
  return new UserError(
    `the pictures do not fit in ${gigabytes} GiB: at ${side} x ${side} pixels that is ${limit.toLocaleString("en")} of them`,
    "name fewer shards, or train at a smaller input size",
  )
}
