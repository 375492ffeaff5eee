import { expect, test } from "vitest"
import type { LearningCurve, LearningEfficiency } from "../../evaluate/efficiency.ts"
import { learningEfficiency } from "../../evaluate/efficiency.ts"
import {
  comparisonTitle,
  efficiencyFigure,
  efficiencyRows,
  efficiencySection,
  efficiencyText,
  plateauText,
  stepTimeText,
  teachersText,
} from "./learning-efficiency.ts"

/** Points at equal distances of a thousand samples, a step of reinforced training at twice the seconds. */
const curve = (averages: readonly number[], secondsEach = 0.1): LearningCurve =>
  averages.map((average, i) => {
    const samplesSeen = 1000 * (i + 1)
    return { samplesSeen, seconds: secondsEach * samplesSeen, average, tasks: {} }
  })

const guessing = 0.1
const flat = curve([0.3, 0.5, 0.5, 0.5])
const rising = curve([0.2, 0.3, 0.4, 0.5])
const reinforced = curve([0.5, 0.6, 0.6, 0.6], 0.2)

const one = learningEfficiency({ plain: [flat], reinforced: [reinforced], guessing })
const three = learningEfficiency({
  plain: [flat, rising, rising],
  reinforced: [reinforced, reinforced, reinforced],
  scheduled: [{ share: 0.25, curves: [curve([0.3]), curve([0.3]), curve([0.3])] }],
  guessing,
})
const never = learningEfficiency({ plain: [reinforced], reinforced: [flat], guessing })

test("the claim is made at 90 % of plain training's gain, in samples and in seconds, with its spread", () => {
  // 0.46 takes 1,800 samples on a plateau, 3,600 of the rising ones, and 900 reinforced ones at twice the seconds.
  expect(efficiencyText(one)).toBe(
    "for 90% of plain training's gain over guessing, plain training needs 2.0 times the samples of reinforced training, and 1.0 times the seconds",
  )
  expect(efficiencyText(three)).toBe(
    "for 90% of plain training's gain over guessing, plain training needs 4.0 times the samples of reinforced training (2.0 to 4.0 over 3 seeds), and 2.0 times the seconds",
  )
  expect(efficiencyText(never)).toBe("reinforced training did not reach 90% of plain training's gain over guessing")
  const untimed: LearningEfficiency = { ...one, levels: one.levels.map((level) => ({ ...level, seconds: null })) }
  expect(efficiencyText(untimed)).toMatch(/reinforced training$/)
})

test("a title has the better score first, whichever it is, and claims no difference below one point", () => {
  const spread = { median: 1.79, low: 1, high: 2 }
  expect([spread, { ...spread, median: 0 }, null].map(efficiencyFigure)).toEqual([
    "1.8x",
    "not reached",
    "not measured",
  ])
  expect(comparisonTitle({ plain: [flat], reinforced: [reinforced] }, "Both")).toBe(
    "60.0% accuracy with reinforcement, 50.0% without",
  )
  expect(comparisonTitle({ plain: [reinforced], reinforced: [flat] }, "Both")).toBe(
    "60.0% accuracy without reinforcement, 50.0% with it",
  )
  expect(comparisonTitle({ plain: [flat], reinforced: [curve([0.509])] }, "Both")).toBe("Both")
  expect(comparisonTitle({ plain: [curve([0.509])], reinforced: [flat] }, "Both")).toBe("Both")
})

test("every level has a row that says where plain training is on a plateau, and every shorter run has one", () => {
  expect(efficiencyRows(one).map(({ against, samples, seconds }) => [against, samples, seconds])).toEqual([
    ["80% of its gain", "2.0", "1.0"],
    ["90% of its gain", "2.0", "1.0"],
    ["95% of its gain, on a plateau", "2.0", "1.0"],
    ["100% of its gain, on a plateau", "2.0", "1.0"],
  ])
  expect(efficiencyRows(one).filter(({ isHeadline }) => isHeadline)).toEqual([
    expect.objectContaining({ against: "90% of its gain" }),
  ])
  const rows = efficiencyRows(three).map(({ against }) => against)
  expect(rows.slice(2)).toEqual([
    "95% of its gain, on a plateau (1 of 3)",
    "100% of its gain, on a plateau (1 of 3)",
    "a run of 1,000 samples (30.0%)",
  ])
  expect(efficiencyRows(three)[1]!.samples).toBe("4.0 (2.0 to 4.0)")
  expect(efficiencyRows(never).at(-1)!.samples).toBe("not reached")
  expect(efficiencySection(three).text.match(/class="headline"/g)).toHaveLength(1)
  expect(efficiencySection(three).text).toContain("whose learning rate ends")
  expect(efficiencySection(one).text).not.toContain("whose learning rate ends")
})

test("plateaus are told with where they begin", () => {
  expect(plateauText(one)).toContain("on a plateau, which begins at about 1,900 samples: there")
  expect(plateauText(three)).toContain("begins at about 1,900 samples (1 of 3 seeds): there")
  expect(plateauText(learningEfficiency({ plain: [rising], reinforced: [reinforced], guessing }))).toBe(
    "Plain training is not on a plateau: it improves to its end.",
  )
})

test("both ratios of a step are told together, and so is what the teachers learned from", () => {
  const times = {
    overPlain: 1.813,
    overBothCaptions: 1.02,
    plain: 0.1,
    bothCaptions: 0.18,
    reinforced: 0.181,
    dataWait: 0,
  }
  expect(stepTimeText(times)).toMatch(/1\.81 times .* plain student's, .* 1\.02 times .* both$/)
  expect(teachersText(6000, "drawn")).toContain("trained on 6,000 other pictures (drawn) with precise captions")
})
