/** Labels' vectors, made once and kept, so that a classifier needs the image tower alone. */

export interface LabelVectors {
  /** Name of the model whose text tower made them. */
  readonly model: string
  /** Digest of that tower's weights; null where no file says. */
  readonly weights: string | null
  readonly embedDim: number
  /** Factor on cosines before a softmax; null where no file says. */
  readonly logitScale: number | null
  readonly labels: readonly string[]
  readonly templates: readonly string[]
  /** Unit vectors [labels, embedDim] */
  readonly vectors: Float32Array
}
