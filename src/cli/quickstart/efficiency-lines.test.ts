import { expect, test } from "vitest"
import { type LearningCurve, learningEfficiency } from "../../evaluate/efficiency.ts"
import { efficiencyLines } from "./efficiency-lines.ts"

const curve = (averages: readonly number[]): LearningCurve =>
  averages.map((average, i) => ({ samplesSeen: 1000 * (i + 1), seconds: 10 * (i + 1), average, tasks: {} }))

test("the terminal's lines write percent as the terminal does, in every sentence and row", () => {
  const text = efficiencyLines(
    learningEfficiency({
      plain: [curve([0.3, 0.5, 0.5, 0.5])],
      reinforced: [curve([0.5, 0.6, 0.6, 0.6])],
      scheduled: [{ share: 0.25, curves: [curve([0.345])] }],
      guessing: 0.1,
    }),
  )
  expect(text).toMatch(/^for 90 % of plain training's gain over guessing, /)
  expect(text).toMatch(/^80 % of its gain /m)
  expect(text).toMatch(/^a run of 1,000 samples \(34\.5 %\) /m)
  expect(text).toMatch(/there it adds 5 % to its gain at most, and the ratio grows with the length of its run\.$/)
  expect(text).not.toMatch(/\d%/)
})
