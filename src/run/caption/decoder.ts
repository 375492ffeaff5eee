/** What writes captions: given the tokens so far, how likely each next one is. Whoever has a model supplies it. */

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
