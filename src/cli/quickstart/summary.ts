/** The quickstart's last words on a terminal. */
import { textTable } from "../table.ts"
import type { ReportData } from "./report.ts"

export function summary(report: ReportData, page: string): string {
  const { seconds, samplesSeen, training } = report
  const rate = training.samplesPerSecond.toFixed(0)
  return [
    `trained on ${samplesSeen.toLocaleString("en")} samples at ${rate} samples/s; ${(seconds / 60).toFixed(1)} minutes in all`,
    "",
    textTable(
      [
        { title: "zero-shot task" },
        ...["accuracy", "chance", "pictures"].map((title) => ({ title, align: "right" as const })),
      ],
      report.tasks.map(({ name, accuracy, chance, images }) => [
        name,
        percent(accuracy),
        percent(chance),
        String(images),
      ]),
    ),
    "",
    `report: ${page}`,
    "",
    "next:",
    ...report.next.map(({ command, purpose }) => `  ${command}\n      ${purpose}`),
  ].join("\n")
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
