/** Pictures to captions one after the other: one that cannot be decoded gives the reason, and the others go on. */
import { UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import type { Abortable } from "../../core/inference/encoder.ts"
import type { Captioner, CaptionOptions } from "../captioner.ts"

export type Captioned = { readonly image: string } & (
  | { readonly captions: readonly string[] }
  | { readonly error: UserError }
)

/** In the order of the sources, whose names are the keys of their captions: a caption does not depend on its neighbours. Throws the signal's reason between two pictures. */
export async function* captionEach(
  captioner: Pick<Captioner, "caption">,
  sources: Iterable<string> | AsyncIterable<string>,
  decode: (source: string) => Promise<Image8>,
  { signal, ...options }: Omit<CaptionOptions, "keys"> & Abortable = {},
): AsyncGenerator<Captioned> {
  for await (const image of sources) {
    signal?.throwIfAborted()
    const decoded = await decode(image).catch(asUserError)
    if (decoded instanceof UserError) yield { image, error: decoded }
    else yield { image, captions: (await captioner.caption([decoded], { ...options, keys: [image] }))[0]! }
  }
}

function asUserError(error: unknown): UserError {
  if (error instanceof UserError) return error
  throw error
}
