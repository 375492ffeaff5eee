/** What the comparison found, as `report.json` and `report.html` (one file, needs no network). */
import { join } from "node:path"
import { writeAtomically } from "../../host/files/files.ts"
import type { CaptionExample, Cifar10Report } from "./report-data.ts"
import { cifar10Page } from "./report-page.ts"

/** Writes both files into `directory`, which must exist. */
export async function writeCifar10Report(
  directory: string,
  report: Cifar10Report,
  pictures: readonly CaptionExample[],
): Promise<void> {
  await writeAtomically(join(directory, "report.html"), [await cifar10Page(report, pictures)])
  await writeAtomically(join(directory, "report.json"), [`${JSON.stringify(report, null, 2)}\n`])
}
