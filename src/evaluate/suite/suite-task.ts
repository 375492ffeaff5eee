/** What a row of a suite says. Rows are data; nothing here is computed. */

/**
 * How a task is scored.
 * - `classification`: a label for each picture, class names and templates beside the shards.
 * - `attributes`: one classifier for each attribute, class names and templates written `attribute:text` (FairFace, UTKFace).
 * - `multilabel`: 0 or 1 for each class, in the picture's `.npy`.
 * - `retrieval`: several captions for each picture, both directions.
 * - `caption-selection`: captions for each picture, the first of which is right (SugarCrepe).
 * - `association`: several pictures for a cue, some of which belong to it (WinoGAViL).
 */
export type TaskKind =
  | "classification"
  | "attributes"
  | "multilabel"
  | "retrieval"
  | "caption-selection"
  | "association"

/** Which columns of a picture's `.npy` make groups, and which metrics are computed over them. */
export type GroupMetrics = "iwildcam" | "camelyon17" | "fmow" | "dollar_street" | "geode" | "fairface"

export interface SuiteTask {
  /** As in published result files: `vtab/caltech101`. */
  readonly key: string
  /** For people: `Caltech-101`. */
  readonly name: string
  readonly kind: TaskKind
  /** Key among the task's metrics; null where the task is reported and never averaged. */
  readonly mainMetric: string | null
  /** Folders below the root that may hold it; the first that is there does. */
  readonly folders: readonly string[]
  /** Pictures (instances, for an association) of the published split, where known. */
  readonly size: number | null
  readonly classes: number | null
  /** Main metric of guessing, 0..1, where known. */
  readonly chance: number | null
  readonly groupMetrics?: GroupMetrics
  /** Whether it counts in the average over the 38. */
  readonly counted: boolean
}
