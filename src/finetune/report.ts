/** What fine-tuning did, as `report.html` (one file, needs no network) and `report.json`. */
import { join } from "node:path"
import type { Scores } from "../evaluate/task-list.ts"
import { writeAtomically } from "../host/files/files.ts"
import type { ProbeResult } from "./probe.ts"
import { classCounts, curveOf, type FinetuneReport } from "./report-data.ts"
import { reportPage } from "./report-page.ts"
import { verdictOf } from "./verdict.ts"

/** Writes both files into `directory`, which must exist. */
export async function writeReport(directory: string, report: FinetuneReport): Promise<void> {
  await writeAtomically(join(directory, "report.html"), [await reportPage(report)])
  await writeAtomically(join(directory, "report.json"), [`${JSON.stringify(reportJson(report), null, 2)}\n`])
}

/** The figures of the report, without pictures and answers. */
export function reportJson(report: FinetuneReport) {
  const { source, pictures, start, config, probe, before, run, bestStep, candidates, chosen } = report
  const verdict = verdictOf(probe, before, chosen)
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
    ...{ becameRight: verdict.becameRight, becameWrong: verdict.becameWrong, verdict },
    perClass: classCounts(probe, before, chosen),
    verification: report.verification,
  }
}

function scoresOf({ score, figures }: ProbeResult): { readonly score: number; readonly figures: Scores } {
  return { score, figures }
}
