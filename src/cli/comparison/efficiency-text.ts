/** Learning efficiency in words. It is 0 where the reinforced student never was as good, infinite where the plain one only guessed. */
import type { Spread } from "../../evaluate/efficiency.ts"

/** A clause, of as many seeds as there were. */
export function efficiencyText({ median, low, high }: Spread, seeds: number): string {
  const spread = seeds > 1 ? ` (${low.toFixed(1)} to ${high.toFixed(1)} over ${seeds} seeds)` : ""
  if (median === 0) return `reinforced training did not reach the best of plain training${spread}`
  if (!Number.isFinite(median)) return "plain training learned no more than guessing"
  return `plain training needs ${median.toFixed(1)} times the samples${spread} to be as good`
}

/** "1.8x", or why there is none. */
export function efficiencyFigure({ median }: Spread): string {
  if (median === 0) return "not reached"
  return Number.isFinite(median) ? `${median.toFixed(1)}x` : "plain only guesses"
}

/** A page's title; `otherwise` is that of a comparison without a difference to speak of. */
export function efficiencyTitle({ median }: Spread, otherwise: string): string {
  return median >= 1.05 && Number.isFinite(median)
    ? `${median.toFixed(1)} times fewer samples for the same accuracy`
    : otherwise
}
