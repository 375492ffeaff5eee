/** `report.html`: one file that needs no network, for any training run, finished or not. */
import { join } from "node:path"
import { writeAtomically } from "../../../host/files/files.ts"
import { reportPage, type TrainingReport } from "./page.ts"

/** The folder must exist. */
export async function writeTrainingReport(folder: string, report: TrainingReport): Promise<void> {
  await writeAtomically(join(folder, "report.html"), [await reportPage(report)])
}
