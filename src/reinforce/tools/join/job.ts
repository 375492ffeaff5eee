/** What a join is to do, as it is kept beside its output. */
import type { SampleFormat } from "../../../data/reinforced/encode.ts"

export interface JoinJob {
  readonly kind: "join"
  /** Shards of the reinforcements, as they were named. */
  readonly reinforcements: readonly string[]
  /** `key`: samples of any shard; `name`: shards of one name hold the same samples. */
  readonly match: "key" | "name"
  /** Field of the image side's json that has the key; null: its own key. */
  readonly keyField: string | null
  /** Null: WebDataset, with embeddings as they are. */
  readonly format: SampleFormat | null
  /** Keeps pictures that are not the ones that were reinforced. */
  readonly allowChanged: boolean
}

/** How samples are written; where embeddings are copied, it speaks of those that are not packed: lines of JSONL. */
export function writtenFormat({ format }: JoinJob): SampleFormat {
  return format ?? { output: "webdataset", embeddings: "npz", textEmbeddings: "separate", images: true }
}
