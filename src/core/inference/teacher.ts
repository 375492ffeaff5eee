/** What data generation needs of models, whatever runs them: ONNX Runtime or libtorch, on a processor or a GPU. */
import type { Image8 } from "../image/pixels.ts"
import type { Preprocessing } from "../image/preprocess.ts"

/** A CLIP whose embeddings a dataset is reinforced with. */
export interface Teacher extends AsyncDisposable {
  readonly name: string
  /** Width of its vectors. */
  readonly embedDim: number
  /** How the pixels that it takes are prepared. */
  readonly preprocessing: Preprocessing
  /** What its numbers depend on, apart from the runtime: where it is from, with a hash of its weights. */
  readonly identity: string
  /** Normalised pixels [count, 3, size, size] -> [count, embedDim], not of unit length. */
  encodePixels(pixels: Float32Array, count: number): Promise<Float32Array>
  /** Texts, of any number -> [texts, embedDim], not of unit length. */
  encodeTexts(texts: readonly string[]): Promise<Float32Array>
}

/** A model that writes captions. */
export interface ImageCaptioner extends AsyncDisposable {
  readonly name: string
  readonly identity: string
  /**
   * `perImage` texts for each image. A caption depends on the image, `keys[i]`, the seed and the options, not on the
   * batch.
   */
  caption(images: readonly Image8[], keys: readonly string[]): Promise<string[][]>
}
