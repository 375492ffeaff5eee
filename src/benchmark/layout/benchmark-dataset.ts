/**
 * A task's data as CLIP_benchmark lays it out in WebDataset shards: `classnames.txt`,
 * `zeroshot_classification_templates.txt`, `dataset_type.txt`, `{split}/nshards.txt`, `{split}/0.tar`, ...
 */
import type { TaskKind } from "../../evaluate/suite/suite-task.ts"

export interface BenchmarkDataset {
  /** The folder or URL, for messages. */
  readonly location: string
  /** Told by `dataset_type.txt`; a row of the suite may say more. */
  readonly kind: TaskKind
  readonly split: string
  /** Null where the kind has none. */
  readonly classNames: readonly string[] | null
  /** Prompts with `{c}` or `{}` where the class name goes. */
  readonly templates: readonly string[] | null
  readonly shards: number
  /**
   * What the pictures are, whatever the class names and templates: a hash over the shards' names, sizes and (where they are
   * local files) times. Vectors of the same pictures can be used again.
   */
  readonly identity: string
  /**
   * All samples in their order, a shard at a time. Pictures are not decoded.
   * @throws UserError that names the shard, the sample and what is wrong
   */
  samples(signal?: AbortSignal): AsyncIterable<BenchmarkSample>
}

export interface BenchmarkSample {
  /** `0.tar/s0000012` */
  readonly key: string
  /** File bytes of its picture; of all its candidates for an association. */
  readonly images: readonly Uint8Array[]
  /** Index of the right class, from `.cls`; null in other kinds. */
  readonly label: number | null
  /** Captions, a line of `.txt` each; the cue for an association; empty in other kinds. */
  readonly texts: readonly string[]
  /** The row of numbers in `.npy`: metadata of groups, or the classes of a multilabel picture. Null where there is none. */
  readonly metadata: readonly number[] | null
  /** For each candidate of an association whether it belongs to the cue. */
  readonly associations: readonly boolean[] | null
}
