/** Captions of many pictures, of which few are in memory at a time. */
import { asUserError, UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import { type Captioner, type CaptionOptions, requireKeys } from "./captioner.ts"

export type Captioned = { readonly image: string } & (
  | { readonly captions: readonly string[] }
  | { readonly error: UserError }
)

/**
 * One after the other, in the order of the sources; one that cannot be decoded gives the reason, and the others go on. Their
 * names are the keys of their captions: a caption does not depend on its neighbours.
 */
export async function* captionEach(
  captioner: Pick<Captioner, "caption">,
  sources: Iterable<string> | AsyncIterable<string>,
  decode: (source: string) => Promise<Image8>,
  options: Omit<CaptionOptions, "keys"> = {},
): AsyncGenerator<Captioned> {
  for await (const image of sources) {
    const decoded = await decode(image).catch(asUserError)
    if (decoded instanceof UserError) yield { image, error: decoded }
    else yield { image, captions: (await captioner.caption([decoded], { ...options, keys: [image] }))[0]! }
  }
}

/** Pictures that are decoded and captioned at once; the largest take 300 MB each. */
const batchSize = 4

/**
 * Captions of each picture, `perImage` of them.
 *
 * @param decode the pictures of a batch; `from` is the place of its first one
 * @throws UserError where keys or options cannot be used; what `decode` throws
 */
export async function captionAll<Picture>(
  captioner: Pick<Captioner, "caption">,
  pictures: readonly Picture[],
  decode: (batch: readonly Picture[], from: number) => Promise<Image8[]>,
  options: CaptionOptions,
): Promise<string[][]> {
  const { keys = pictures.map((_, i) => String(i)) } = options
  requireKeys(keys, pictures.length)
  const captions: string[][] = []
  for (let from = 0; from < pictures.length; from += batchSize) {
    const images = await decode(pictures.slice(from, from + batchSize), from)
    captions.push(...(await captioner.caption(images, { ...options, keys: keys.slice(from, from + batchSize) })))
  }
  return captions
}
