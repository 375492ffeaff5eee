/** A shard whose samples are read one by one, in any order: a tar's by position, JSONL's by the beginning of a line. */
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"

export interface SampleLocation {
  readonly key: string
  /** Bytes of the file that hold the sample, maybe with others between. */
  readonly start: number
  readonly length: number
}

export interface RandomShard extends AsyncDisposable {
  /** All samples, in one pass over the file; both of two with one key. */
  locations(): AsyncIterable<SampleLocation>
  /**
   * Embeddings of a tar stay packed, as one of the sample's `others`, where `packed` asks for it. Throws UserError where
   * the sample is damaged.
   */
  read(location: SampleLocation, options: { readonly packed: boolean }): Promise<ReinforcedSample>
}
