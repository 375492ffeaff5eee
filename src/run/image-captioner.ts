/** A captioner as data generation uses it: one set of options, and captions that depend on the key of a sample. */
import type { Image8 } from "../core/image/pixels.ts"
import type { ImageCaptioner } from "../core/inference/teacher.ts"
import type { GenerateOptions } from "./caption/options.ts"
import { generateOptions } from "./caption/options.ts"
import type { Captioner, CaptionOptions } from "./captioner.ts"

/** How the papers' synthetic captions were drawn (open_clip's defaults otherwise). */
export const paperOptions = {
  generationType: "top_p",
  topP: 0.9,
  fixedOutputLength: true,
  seqLen: 30,
} as const satisfies Partial<GenerateOptions>

export interface ImageCaptionerOptions extends Omit<CaptionOptions, "keys"> {
  /** What the captions depend on, beside the options. */
  readonly identity: string
}

/** Owns `captioner`. Throws UserError when an option is out of range. */
export function imageCaptioner(captioner: Captioner, { identity, ...given }: ImageCaptionerOptions): ImageCaptioner {
  const { perImage = 5, seed = 0, whole = false, ...generating } = { ...paperOptions, ...given }
  const { contextLength } = captioner.manifest.decoder
  const options = { ...generateOptions(generating, contextLength), perImage, seed, whole }
  return {
    name: captioner.manifest.name,
    identity: `${identity} ${JSON.stringify(options)}`,
    caption: (images: readonly Image8[], keys: readonly string[]) => captioner.caption(images, { ...options, keys }),
    [Symbol.asyncDispose]: () => captioner.dispose(),
  }
}
