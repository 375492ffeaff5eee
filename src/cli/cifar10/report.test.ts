import { expect, test } from "vitest"
import { type Cifar10Report, efficiencyText } from "./report.ts"

const report = (median: number, seeds: number) =>
  ({ efficiencyRatio: { median, low: 0.5, high: 4 }, plain: Array(seeds).fill([]) }) as unknown as Cifar10Report

test("a ratio is said with its spread, and that there is none where plain training stayed better", () => {
  expect(efficiencyText(report(1.79, 1))).toBe("plain training needs 1.8 times the samples to be as good")
  expect(efficiencyText(report(1.79, 3))).toContain("1.8 times the samples (0.5 to 4.0 over 3 seeds)")
  expect(efficiencyText(report(0, 1))).toBe("reinforced training did not reach the best of plain training")
})
