/** Where labels' vectors are kept between runs: what computes them needs to know no more of it. */

export interface LabelStore {
  /** What is kept of labels in these templates; null where keeping the vectors of so many labels does not pay, or cannot be. */
  open(labels: number, templates: readonly string[], width: number): Promise<LabelTable | null>
}

export interface LabelTable {
  /** Puts the vectors that are kept into their rows of `vectors` [labels, width], and gives the other rows, in order. */
  find(labels: readonly string[], vectors: Float32Array): Promise<number[]>
  /** Keeps the vectors [labels, width] of labels that were not there. */
  keep(labels: readonly string[], vectors: Float32Array): Promise<void>
  /** After the last that is kept. */
  end(): Promise<void>
}
