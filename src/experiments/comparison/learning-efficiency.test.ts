import { expect, test } from "vitest"
import { efficiencyFigure, efficiencyText, efficiencyTitle } from "./learning-efficiency.ts"

const spread = (median: number) => ({ median, low: 0.5, high: 4 })

test("the text has the ratio with its spread, or says that plain training stayed better", () => {
  expect(efficiencyText(spread(1.79), 1)).toBe("plain training needs 1.8 times the samples to be as good")
  expect(efficiencyText(spread(1.79), 3)).toContain("1.8 times the samples (0.5 to 4.0 over 3 seeds)")
  expect(efficiencyText(spread(0), 1)).toBe("reinforced training did not reach the best of plain training")
})

test("the figure and the title say the same", () => {
  expect([efficiencyFigure(spread(1.79)), efficiencyFigure(spread(0))]).toEqual(["1.8x", "not reached"])
  expect([0, 1.04, 1.79].map((median) => efficiencyTitle(spread(median), "Both"))).toEqual([
    "Both",
    "Both",
    "1.8 times fewer samples for the same accuracy",
  ])
})
