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
  /** Null where the kind has none. Those of attributes are `attribute:text`, which `linesByAttribute` takes apart. */
  readonly classNames: readonly string[] | null
  /** Prompts with `{c}` or `{}` where the class name goes; those of attributes are `attribute:text`. */
  readonly templates: readonly string[] | null
  /** What the columns of a sample's `metadata` say, from `groups.json`; null where there is no such file. */
  readonly groups: readonly GroupColumn[] | null
  readonly shards: number
  /**
   * What the pictures are, whatever the class names and templates: a hash over the shards' names, sizes and times, or what a
   * server says that changes with them (ETag). Vectors of the same pictures can be used again.
   */
  readonly identity: string
  /**
   * What is not wrong but should be seen, a line each: numbers of classes or samples that are not the published ones. The
   * number of samples is known when `samples` was read to its end, and the list grows then.
   */
  readonly notes: readonly string[]
  /**
   * All samples in their order, a shard at a time. Pictures are not decoded; each has an ArrayBuffer of its own, which may be
   * transferred to a thread. Shards of other machines are copied one ahead into the temporary folder, and removed after use.
   * @throws UserError that names the shard, the sample and what is wrong
   */
  samples(signal?: AbortSignal): AsyncIterable<BenchmarkSample>
}

/** One column of `metadata`, whose numbers are positions in `groups`. */
export interface GroupColumn {
  /** `country` */
  readonly name: string
  /** `["Chile", "Japan"]` */
  readonly groups: readonly string[]
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
