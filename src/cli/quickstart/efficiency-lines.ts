/** How much sooner a reinforced student learns, as the terminal says it: for `quickstart` and CIFAR-10. */
import type { LearningEfficiency } from "../../evaluate/efficiency.ts"
import { efficiencyRows, efficiencyText, plateauText } from "../../experiments/comparison/learning-efficiency.ts"
import { spacedPercent, textTable } from "../table.ts"

/** The claim, every measure as a table, and where plain training is on a plateau. */
export function efficiencyLines(efficiency: LearningEfficiency): string {
  const measures = efficiencyRows(efficiency, spacedPercent)
  const rows = measures.map(({ against, samples, seconds }) => [against, samples, seconds])
  const columns = [
    { title: "as good as plain training at" },
    { title: "samples", align: "right" },
    { title: "seconds", align: "right" },
  ] as const
  const claim = efficiencyText(efficiency, spacedPercent)
  return [claim, "", textTable(columns, rows), plateauText(efficiency, spacedPercent)].join("\n")
}
