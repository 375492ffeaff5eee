import { expect, test } from "vitest"
import type { ProbeResult } from "./probe.ts"
import { adviceOf, atLeast, choiceText, classesText, guessingText, verdictOf, verdictText } from "./verdict.ts"

/** Answers as a text: x is right. */
function answers(text: string): ProbeResult {
  const predictions = [...text].map((one) => ({ choice: "a", probability: 1, isRight: one === "x" }))
  return { tasks: {}, score: 0, figures: {}, predictions }
}
const verdict = (before: string, after: string, chance = 1 / 6) =>
  verdictOf({ chance: { accuracy: chance } }, answers(before), answers(after))

test("the probability of so many hits", () => {
  expect(atLeast(5, 5, 0.5)).toBeCloseTo(1 / 32, 12)
  expect(atLeast(2, 3, 1 / 6)).toBeCloseTo(3 * (1 / 36) * (5 / 6) + 1 / 216, 12)
  expect([atLeast(0, 9, 0.3), atLeast(1, 9, 0)]).toEqual([1, 0])
  expect(atLeast(9, 9, 1)).toBeCloseTo(1, 12)
  expect(atLeast(600, 1000, 0.5)).toBeLessThan(1e-9)
})

test("five pictures that became right are better, four could be chance, and one for one is no better", () => {
  expect(verdict("x...........", "xxxxxx......").kind).toBe("better")
  expect(verdictText(verdict("x...........", "xxxxxx......"))).toBe(
    "Better than before: 6 of 12 held-out pictures are right, 1 was before",
  )
  expect(verdictText(verdict("x...........", "xxxxx......."))).toMatch(/^Too few pictures to tell: 5 of 12/)
  expect(verdictText(verdict("x...........", ".x.........."))).toBe(
    "No better than before: 1 of 12 held-out pictures is right, as many as before",
  )
  expect(verdict("xx..........", "x...........").kind).toBe("same")
  expect(verdictText(verdict("xxxxxx......", "x..........."))).toMatch(/^Worse than before: 1 of 12/)
  // Two of seven that changed became wrong.
  expect(verdict("xx..........", "..xxxxx.....").kind).toBe("unclear")
})

test("what guessing gets, and whether this is more", () => {
  const guessed = verdict("x...........", "x...........")
  expect(guessed).toMatchObject({ rightByGuessing: 2, isAboveGuessing: false, becameRight: 0, becameWrong: 0 })
  expect(guessingText(guessed)).toBe("guessing gets about 2 of 12 right, so this is not more than guessing")
  expect(guessingText(verdict("x...........", "xxxxxx......"))).toBe("guessing gets about 2 of 12 right")
  expect(guessingText(verdict("x...", "x...", 0.1))).toContain("about 0.4 of 4 right, so")
})

test("advice where nothing was gained, and what the pictures chose", () => {
  expect(adviceOf(verdict("x...........", "x..........."), 1e-4)).toContain("--lr 3e-4")
  expect(adviceOf(verdict("x...........", "xxxxxx......"), 1e-4)).toBeNull()
  expect(choiceText(true)).toContain("also chose the step and the share of the tuned weights")
  expect(choiceText(false)).toContain("also chose the step, so")
})

test("more pictures that are right do not hide that most classes lost", () => {
  const withMean = (text: string, mean: number) => ({ ...answers(text), figures: { "mean over classes": mean } })
  expect(classesText(withMean("x...", 0.2333), withMean("xx..", 0.1579))).toBe(
    "the mean over the classes fell from 23.3 to 15.8 %: classes of many pictures gained, others lost",
  )
  expect(classesText(withMean("x...", 0.2), withMean("xx..", 0.3))).toBeNull()
  expect(classesText(withMean("xx..", 0.2), withMean("x...", 0.1))).toBeNull()
  expect(classesText(answers("x..."), answers("xx.."))).toBeNull()
})
