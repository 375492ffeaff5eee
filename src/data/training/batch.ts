/** What a training step takes. N is the number of pairs on this rank, S the picture's side, L the context length. */

/** Arrays are views of shared memory that is written again: copy those that are kept longer than `batches` allows. */
export interface Batch {
  /** [N, 3, S, S], normalised as the image tower wants. */
  readonly images: Float32Array
  /** [N, L], padded with zeros. */
  readonly tokens: BigInt64Array
  /** [N, L]: a synthetic caption of each picture; absent where there is one loss term. */
  readonly synthetic?: BigInt64Array
  readonly teacher?: TeacherEmbeddings
}

/** Rows as they are stored, with the teachers' unit vectors side by side: [N, sum of widths]. */
export interface TeacherEmbeddings {
  /** The rows of the views in `images`. */
  readonly image: Float32Array
  /** The rows of the captions in `tokens`. */
  readonly text: Float32Array
  /** The rows of the captions in `synthetic`. */
  readonly synthetic?: Float32Array
  /** One per teacher. */
  readonly widths: readonly number[]
}
