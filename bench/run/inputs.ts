/** Pictures and texts of the benchmark: rendered, or one's own made to the same sizes. */
import { stat } from "node:fs/promises"
import { join } from "node:path"
import sharp, { type Sharp } from "sharp"
import { UserError } from "../../src/core/errors.ts"
import { Tokenizer } from "../../src/core/text/tokenizer.ts"
import { captionsOf } from "../../src/data/scenes/captions.ts"
import { sampleScene } from "../../src/data/scenes/scene.ts"
import { sceneToSvg } from "../../src/data/scenes/svg.ts"
import { imageFiles } from "../../src/host/image/image-files.ts"

export interface PictureSize {
  readonly name: string
  readonly width: number
  readonly height: number
}

export interface Pictures {
  readonly size: PictureSize
  readonly files: readonly string[]
  /** Size of a file, on average: a busier picture takes longer to decode. */
  readonly bytes: number
}

/** A camera's usual quality. */
const quality = 90

/**
 * JPEG files of one size in `folder`.
 *
 * @param from a folder of pictures, which are cut and resized to it; null: scenes with a sensor's noise
 * @throws UserError where the folder has too few
 */
export async function makePictures(
  size: PictureSize,
  count: number,
  from: string | null,
  folder: string,
): Promise<Pictures> {
  const given = from === null ? null : await imageFiles([from], () => {})
  if (given !== null && given.length < count) {
    throw new UserError(
      `${from} has ${given.length} pictures, and ${count} are needed`,
      "name a folder with more, or give --quick",
    )
  }
  const files: string[] = []
  for (let i = 0; i < count; i++) {
    const path = join(folder, `${size.width}x${size.height}-${String(i).padStart(3, "0")}.jpg`)
    await (given ? sharp(given[i]!).resize(size.width, size.height, { fit: "cover" }) : scene(size, i))
      .jpeg({ quality })
      .toFile(path)
    files.push(path)
  }
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size))
  return { size, files, bytes: sizes.reduce((sum, bytes) => sum + bytes, 0) / count }
}

/** Drawn at the size that is asked for. Noise gives a file about the bytes that a camera's has. */
function scene({ width, height }: PictureSize, index: number): Sharp {
  const drawn = sampleScene(0, "train", index)
  const density = 72 * Math.max(width / drawn.width, height / drawn.height)
  const noise = { type: "gaussian", mean: 128, sigma: 30 } as const
  const grain = { create: { width, height, channels: 3, background: "black", noise } } as const
  return sharp(Buffer.from(sceneToSvg(drawn)), { density })
    .resize(width, height, { fit: "cover" })
    .removeAlpha()
    .composite([{ input: grain, blend: "soft-light" }])
}

export interface Texts {
  readonly name: string
  readonly texts: readonly string[]
}

/** Captions of at most 16 tokens, and texts that fill nearly all 77: what is cut off is not the same in both libraries. */
export function makeTexts(count: number): Texts[] {
  const captions = Array.from({ length: 4 * count }, (_, i) => captionsOf(sampleScene(1, "train", i)).caption)
  const short = captions.filter((caption) => tokensOf(caption) <= 16)
  return [
    { name: "short captions", texts: Array.from({ length: count }, (_, i) => short[i % short.length]!) },
    { name: "full length", texts: Array.from({ length: count }, (_, i) => filled(captions[i]!)) },
  ]
}

const tokenizer = new Tokenizer()

function tokensOf(text: string): number {
  return tokenizer.encodeBatch([text], longest + 1).ids.filter((id) => id !== 0n).length
}

/** Tokens of a text, with its start and its end. */
const longest = 77

/** The caption again and again, as often as its words fit. */
function filled(caption: string): string {
  const words = Array<string>(longest).fill(caption).join(" ").split(" ")
  const count = words.findIndex((_, i) => tokensOf(words.slice(0, i + 1).join(" ")) > longest)
  return words.slice(0, count).join(" ")
}
