import { expect, test } from "vitest"
import { efficiencyFigure, efficiencyText, efficiencyTitle } from "./efficiency-text.ts"

const spread = (median: number) => ({ median, low: 0.5, high: 4 })

test("a ratio is said with its spread, and that there is none where plain training stayed better", () => {
  expect(efficiencyText(spread(1.79), 1)).toBe("plain training needs 1.8 times the samples to be as good")
  expect(efficiencyText(spread(1.79), 3)).toContain("1.8 times the samples (0.5 to 4.0 over 3 seeds)")
  expect(efficiencyText(spread(0), 1)).toBe("reinforced training did not reach the best of plain training")
})

test("plain training that only guesses gives no ratio", () => {
  const infinite = spread(Number.POSITIVE_INFINITY)
  expect(efficiencyText(infinite, 1)).toBe("plain training learned no more than guessing")
  expect([efficiencyFigure(spread(1.79)), efficiencyFigure(spread(0)), efficiencyFigure(infinite)]).toEqual([
    "1.8x",
    "not reached",
    "plain only guesses",
  ])
  expect(efficiencyTitle(infinite, "Both")).toBe("Both")
  expect(efficiencyTitle(spread(1.04), "Both")).toBe("Both")
  expect(efficiencyTitle(spread(1.79), "Both")).toBe("1.8 times fewer samples for the same accuracy")
})
