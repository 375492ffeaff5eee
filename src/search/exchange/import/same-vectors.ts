/** Whether vectors of another program are those of a model here: some pictures are encoded again and compared. */
import { l2Normalize } from "../../../core/arrays/similarity.ts"
import { type EncodeFilesOptions, encodeFiles, type PixelEncoder } from "../../../pictures/encode-files.ts"
import type { SampledPicture } from "./survey.ts"

export interface VectorCheck {
  /** Pictures that could be decoded. */
  readonly compared: number
  /** Those with a cosine of at least `leastCosine` to the imported vector. */
  readonly alike: number
  readonly median: number
  readonly least: number
}

/** Other decoders, sizes of previews and float16 change a vector less than this; another model's are far away. */
export const leastCosine = 0.99

/** Some pictures may have been edited since: so many of the sample must be alike. */
const leastShare = 0.9

export function isSameModel({ compared, alike }: VectorCheck): boolean {
  return compared > 0 && alike >= leastShare * compared
}

/** @param sample vectors of any length but zero, as wide as the encoder's */
export async function compareVectors(
  sample: readonly SampledPicture[],
  encoder: PixelEncoder,
  options: EncodeFilesOptions,
): Promise<VectorCheck> {
  const cosines: number[] = []
  const imported = new Map(sample.map(({ path, vector }) => [path, vector]))
  for await (const batch of encodeFiles([...imported.keys()], [encoder], options)) {
    for (const file of batch)
      if ("vectors" in file) cosines.push(cosineOf(file.vectors[0]!, imported.get(file.source)!))
  }
  cosines.sort((a, b) => a - b)
  const alike = cosines.filter((cosine) => cosine >= leastCosine).length
  return {
    compared: cosines.length,
    alike,
    median: cosines[cosines.length >> 1] ?? Number.NaN,
    least: cosines[0] ?? Number.NaN,
  }
}

function cosineOf(a: Float32Array, b: Float32Array): number {
  const [x, y] = [a, b].map((vector) => l2Normalize(vector.slice(), vector.length))
  return x!.reduce((sum, value, i) => sum + value * y![i]!, 0)
}
