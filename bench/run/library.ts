/** A library that turns files of pictures and texts into vectors, as the benchmark drives it. */

export interface Library {
  /** What it is and how it was set, for the report. */
  readonly description: string
  readonly embedDim: number
  /** Unit vectors [files, embedDim]. */
  encodeFiles(files: readonly string[], batch: Batch): Promise<Float32Array>
  /** Unit vectors [texts, embedDim]. */
  encodeTexts(texts: readonly string[], batch: Batch): Promise<Float32Array>
  close(): Promise<void>
}

/** How many are given at a time: one call after the other; null: all in one call, for a library with batches of its own. */
export type Batch = number | null

/** The parts' rows, one after the other. */
export async function inParts(
  inputs: readonly string[],
  size: number,
  width: number,
  encode: (part: readonly string[]) => Promise<Float32Array>,
): Promise<Float32Array> {
  const rows = new Float32Array(inputs.length * width)
  for (let start = 0; start < inputs.length; start += size) {
    rows.set(await encode(inputs.slice(start, start + size)), start * width)
  }
  return rows
}
