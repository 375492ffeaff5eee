/** How much sooner a reinforced student learns, as the terminal says it: for `quickstart` and CIFAR-10. */
import type { LearningEfficiency } from "../../evaluate/efficiency.ts"
import { efficiencyRows, efficiencyText, plateauText } from "../../experiments/comparison/learning-efficiency.ts"
import { textTable } from "../table.ts"

/** The claim, every measure as a table, and where plain training is on a plateau. */
export function efficiencyLines(efficiency: LearningEfficiency): string {
  const rows = efficiencyRows(efficiency).map(({ against, samples, seconds }) => [against, samples, seconds])
  const columns = [
    { title: "as good as plain training at" },
    { title: "samples", align: "right" },
    { title: "seconds", align: "right" },
  ] as const
  const text = [`${efficiencyText(efficiency)}`, "", textTable(columns, rows), plateauText(efficiency)].join("\n")
  // As everywhere on the terminal.
  return text.replaceAll(/(\d)%/g, "$1 %")
}
