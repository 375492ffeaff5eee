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

/** A picture of the probe, and the answers to it. */
export interface Outcome {
  /** Index in the probe. */
  readonly index: number
  readonly kind: "became right" | "became wrong" | "still wrong" | "still right"
  readonly before: Prediction
  readonly after: Prediction
}

/** All pictures: those that became right first, then those that became wrong, are still wrong, and still right. */
export function outcomesOf(before: ProbeResult, after: ProbeResult): Outcome[] {
  const order = ["became right", "became wrong", "still wrong", "still right"] as const
  const all = before.predictions.map((prediction, index): Outcome => {
    const now = after.predictions[index]!
    const kind = now.isRight
      ? prediction.isRight
        ? "still right"
        : "became right"
      : prediction.isRight
        ? "became wrong"
        : "still wrong"
    return { index, kind, before: prediction, after: now }
  })
  return all.toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))
}

/** How many held-out pictures of a class are right. */
export interface ClassCount {
  readonly name: string
  readonly pictures: number
  readonly rightBefore: number
  readonly rightAfter: number
}

/** The classes that have held-out pictures, in their order; none where pictures have captions of their own. */
export function classCounts({ classes, truth }: Probe, before: ProbeResult, after: ProbeResult): ClassCount[] {
  const counts = (classes?.names ?? []).map((name, label) => {
    const own = truth.flatMap(([right], index) => (right === label ? [index] : []))
    const right = ({ predictions }: ProbeResult) => own.filter((index) => predictions[index]!.isRight).length
    return { name, pictures: own.length, rightBefore: right(before), rightAfter: right(after) }
  })
  return counts.filter(({ pictures }) => pictures > 0)
}

/** Scores over samples; the start's are at 0. */
export function curveOf({ before, run }: Pick<FinetuneReport, "before" | "run">): EvaluationEntry[] {
  return [{ step: 0, samplesSeen: 0, tasks: before.tasks, average: before.score }, ...run.evaluations]
}
