/** What evaluation, search and distillation need of a model, whatever runs it: a live checkpoint or an exported file. */
import type { Image8 } from "../image/pixels.ts"

export interface Abortable {
  /** Its abort ends the work between two batches. */
  readonly signal?: AbortSignal | undefined
}

/** However many images or texts are given: an encoder splits them as suits it. */
export interface Encoder<Picture = Image8> {
  /** Width of a vector. */
  readonly embedDim: number
  /** N images of any size -> [N, embedDim], row-major. The length of a vector means nothing: who compares normalises. */
  encodeImages(images: readonly Picture[], options?: Abortable): Promise<Float32Array>
  /** N texts -> [N, embedDim], in the space of the images. */
  encodeTexts(texts: readonly string[], options?: Abortable): Promise<Float32Array>
}
