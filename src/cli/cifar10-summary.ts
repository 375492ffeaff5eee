/** The comparison's last words on a terminal. */
import type { LearningCurve } from "../evaluate/efficiency.ts"
import type { Cifar10Report } from "../experiments/cifar10/report-data.ts"
import { meanAt } from "../experiments/comparison/accuracy-figure.ts"
import { efficiencyText } from "../experiments/comparison/efficiency-text.ts"
import { percent, textTable } from "./table.ts"

export function summary(report: Cifar10Report, page: string): string {
  const { seconds, plain, reinforced, teachers, captioner, pictures } = report
  return [
    `${(seconds / 60).toFixed(1)} minutes; ${efficiencyText(report.efficiencyRatio, plain.length)}`,
    [
      ...teachers.map(({ name, average }) => `teacher ${name} ${percent(average)}`),
      `captions ${percent(captioner.trueCaptions)} true`,
    ].join(", "),
    "",
    curveTable(plain, reinforced),
    `on ${pictures.test.toLocaleString("en")} test pictures`,
    "",
    `report: ${page}`,
  ].join("\n")
}

function curveTable(plain: readonly LearningCurve[], reinforced: readonly LearningCurve[]): string {
  const rows = plain[0]!.map(({ samplesSeen }, i) => [
    samplesSeen.toLocaleString("en"),
    ...[plain, reinforced].map((curves) => percent(meanAt(curves, i))),
  ])
  const titles = ["samples seen", "plain", "reinforced"]
  return textTable(
    titles.map((title) => ({ title, align: "right" })),
    rows,
  )
}
