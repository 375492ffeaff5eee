/** What writes captions: from the tokens so far, how likely each next one is. A runtime with a model supplies it. */

export interface CaptionDecoder {
  readonly vocabSize: number
  /** Tokens that can be fed to a row. */
  readonly contextLength: number
  /**
   * Feeds tokens[i] to row i, which continues row parents[i] of the call before (null: all rows begin). Gives the logits
   * of the next token, [rows, vocabSize] row-major, valid until the next call.
   */
  step(tokens: readonly number[], parents: readonly number[] | null): Promise<Float32Array>
}

/** Values with their shape, row-major; the batch comes first. */
export interface Values {
  readonly data: Float32Array
  readonly shape: readonly number[]
}

/** A captioning model on a runtime. */
export interface CaptionRuntime {
  /** Normalised pixels [N, 3, size, size] -> a decoder with `rowsPerImage` rows for each image, in order. */
  begin(pixels: Values, rowsPerImage: number): Promise<BegunDecoder>
  /** Frees the model. */
  release(): Promise<void>
}

/** A decoder that has seen its images. The caller of `begin` disposes of it. */
export type BegunDecoder = CaptionDecoder & Disposable
