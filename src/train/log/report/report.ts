/** `report.html`: one file that needs no network, for any training run, finished or not. */
import { join } from "node:path"
import { writeAtomically } from "../../../host/files.ts"
import type { Recipe } from "../../recipe/schema.ts"
import type { LogEntry } from "../entries.ts"
import type { SeenSample } from "../samples.ts"
import { reportPage } from "./page.ts"

export interface TrainingReport {
  /** What the run is called: its folder's name. */
  readonly name: string
  readonly recipe: Recipe
  /** Of the whole run. */
  readonly steps: number
  readonly entries: readonly LogEntry[]
  readonly samples: readonly SeenSample[]
  /** Accuracy of guessing, by task. */
  readonly chance?: Readonly<Record<string, number>>
  /** Machine, versions, parameters: what belongs beside the figures. */
  readonly facts: readonly (readonly [string, string])[]
}

/** The folder must exist. */
export async function writeTrainingReport(folder: string, report: TrainingReport): Promise<void> {
  await writeAtomically(join(folder, "report.html"), [await reportPage(report)])
}
