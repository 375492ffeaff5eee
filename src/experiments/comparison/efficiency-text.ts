/** Learning efficiency in words. It is 0 where the reinforced student never was as good. */
import type { Spread } from "../../evaluate/efficiency.ts"

/** A clause, of as many seeds as there were. */
export function efficiencyText({ median, low, high }: Spread, seeds: number): string {
  const spread = seeds > 1 ? ` (${low.toFixed(1)} to ${high.toFixed(1)} over ${seeds} seeds)` : ""
  if (median === 0) return `reinforced training did not reach the best of plain training${spread}`
  return `plain training needs ${median.toFixed(1)} times the samples${spread} to be as good`
}

/** "1.8x", or that there is none. */
export function efficiencyFigure({ median }: Spread): string {
  return median === 0 ? "not reached" : `${median.toFixed(1)}x`
}

/** A page's title; `otherwise` is that of a comparison without a difference to speak of. */
export function efficiencyTitle({ median }: Spread, otherwise: string): string {
  return median >= 1.05 ? `${median.toFixed(1)} times fewer samples for the same accuracy` : otherwise
}
