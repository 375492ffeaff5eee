/** What the quickstart did, as `report.html` (one file, needs no network) and `report.json`. */
import { join } from "node:path"
import { writeAtomically } from "../../host/files/files.ts"
import type { ReportData } from "./report-content.ts"
import { reportPage } from "./report-page.ts"

/** Writes both files into `dir`, which must exist. */
export async function writeReport(dir: string, data: ReportData): Promise<void> {
  await writeAtomically(join(dir, "report.html"), [await reportPage(data)])
  await writeAtomically(join(dir, "report.json"), [`${JSON.stringify(reportJson(data), null, 2)}\n`])
}

/** The figures without curves, pictures and confusions. */
export function reportJson(data: ReportData): object {
  const { losses, pictures, next, tasks, ...figures } = data
  return { ...figures, tasks: tasks.map(({ confusion, classNames, ...figures }) => figures) }
}
