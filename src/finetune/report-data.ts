/** The results of fine-tuning, from which its report is made. */
import type { Manifest } from "../core/inference/manifest.ts"
import type { EvaluationEntry } from "../train/log/entries.ts"
import type { TrainConfig } from "../train/train.ts"
import type { StartModel } from "../weights/start-model.ts"
import type { Prediction, Probe, ProbeResult } from "./probe.ts"
import type { Tuned } from "./tune.ts"

/** The model between start and best state, with its scores. */
export interface Candidate extends ProbeResult {
  /** Share of the tuned weights. */
  readonly alpha: number
}

export interface FinetuneReport {
  readonly source: string
  readonly pictures: {
    readonly train: number
    readonly heldOut: number
    readonly withoutCaption: number
    readonly damaged: number
    /** Truncated pictures that were used. */
    readonly cutOff: number
  }
  readonly start: StartModel
  readonly config: TrainConfig
  readonly probe: Probe
  /** The scores of the start. */
  readonly before: ProbeResult
  readonly run: Tuned
  /** The step whose weights were averaged with the start's. */
  readonly bestStep: number
  readonly candidates: readonly Candidate[]
  /** The model that was written. */
  readonly chosen: Candidate
  readonly checkpoint: string
  /** The exported model's directory. */
  readonly model: string
  readonly verification: Manifest["verification"]
  /** File with the names of the classes; null where there are none. */
  readonly labels: string | null
}

/** A picture of the probe for which the answer changed. */
export interface Change {
  /** Index in the probe. */
  readonly index: number
  readonly before: Prediction
  readonly after: Prediction
}

/** Answers that became right first, then those that became wrong, then the others. */
export function changesOf(before: ProbeResult, after: ProbeResult): Change[] {
  const all = before.predictions.map((prediction, index) => ({
    ...{ index, before: prediction },
    after: after.predictions[index]!,
  }))
  const changed = all.filter((one) => one.before.choice !== one.after.choice)
  const kind = (one: Change) => (one.before.isRight === one.after.isRight ? 2 : one.after.isRight ? 0 : 1)
  return changed.toSorted((a, b) => kind(a) - kind(b))
}

/** Scores over samples; the start's are at 0. */
export function curveOf({ before, run }: Pick<FinetuneReport, "before" | "run">): EvaluationEntry[] {
  return [{ step: 0, samplesSeen: 0, tasks: before.tasks, average: before.score }, ...run.evaluations]
}
