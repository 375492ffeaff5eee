/** What fine-tuning did, as `report.html` (one file, needs no network) and `report.json`. */
import { join } from "node:path"
import type { Manifest } from "../core/manifest.ts"
import { writeAtomically } from "../host/files.ts"
import type { EvaluationEntry } from "../train/log/entries.ts"
import type { Scores } from "../train/run-directory.ts"
import type { TrainConfig } from "../train/train.ts"
import type { StartModel } from "../weights/start-model.ts"
import type { Candidate } from "./finetune.ts"
import type { Prediction, Probe, ProbeResult } from "./probe.ts"
import { reportPage } from "./report-page.ts"
import type { Tuned } from "./tune.ts"

export interface FinetuneReport {
  readonly source: string
  readonly pictures: {
    readonly train: number
    readonly heldOut: number
    readonly withoutCaption: number
    readonly damaged: number
    /** Used, and end before their end. */
    readonly cutOff: number
  }
  readonly start: StartModel
  readonly config: TrainConfig
  readonly probe: Probe
  /** Of the start. */
  readonly before: ProbeResult
  readonly run: Tuned
  /** Whose weights were averaged with the start's. */
  readonly bestStep: number
  readonly candidates: readonly Candidate[]
  /** What was written. */
  readonly chosen: Candidate
  readonly checkpoint: string
  /** The exported model's directory. */
  readonly model: string
  readonly verification: Manifest["verification"]
}

/** A picture of the probe whose answer is another than it was. */
export interface Change {
  /** Place in the probe. */
  readonly index: number
  readonly before: Prediction
  readonly after: Prediction
}

/** Those that became right first, then those that became wrong, then the others. */
export function changesOf(before: ProbeResult, after: ProbeResult): Change[] {
  const all = before.predictions.map((prediction, index) => ({
    ...{ index, before: prediction },
    after: after.predictions[index]!,
  }))
  const changed = all.filter((one) => one.before.choice !== one.after.choice)
  const kind = (one: Change) => (one.before.isRight === one.after.isRight ? 2 : one.after.isRight ? 0 : 1)
  return changed.toSorted((a, b) => kind(a) - kind(b))
}

/** Scores over samples, with the start's at 0. */
export function curveOf({ before, run }: Pick<FinetuneReport, "before" | "run">): EvaluationEntry[] {
  return [{ step: 0, samplesSeen: 0, tasks: before.tasks, average: before.score }, ...run.evaluations]
}

/** Writes both files into `directory`, which must exist. */
export async function writeReport(directory: string, report: FinetuneReport): Promise<void> {
  await writeAtomically(join(directory, "report.html"), [await reportPage(report)])
  await writeAtomically(join(directory, "report.json"), [`${JSON.stringify(reportJson(report), null, 2)}\n`])
}

/** The figures without pictures and answers. */
export function reportJson(report: FinetuneReport) {
  const { source, pictures, start, config, probe, before, run, bestStep, candidates, chosen } = report
  const changes = changesOf(before, chosen)
  return {
    ...{ source, pictures, checkpoint: report.checkpoint, model: report.model },
    start: { file: start.source.file, sha256: start.source.sha256, name: start.info.name, license: start.info.license },
    classes: probe.classes?.names ?? null,
    config,
    before: scoresOf(before),
    after: { alpha: chosen.alpha, ...scoresOf(chosen) },
    chance: probe.chance,
    averages: candidates.map((candidate) => ({ alpha: candidate.alpha, ...scoresOf(candidate) })),
    evaluations: curveOf(report),
    steps: run.step,
    bestStep,
    samplesPerSecond: run.samplesPerSecond,
    becameRight: changes.filter((one) => !one.before.isRight && one.after.isRight).length,
    becameWrong: changes.filter((one) => one.before.isRight && !one.after.isRight).length,
    verification: report.verification,
  }
}

function scoresOf({ score, figures }: ProbeResult): { readonly score: number; readonly figures: Scores } {
  return { score, figures }
}
