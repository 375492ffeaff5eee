import { expect, test } from "vitest"
import { editDistance, nearestNames } from "./nearest.ts"

test.each([
  ["", "", 0],
  ["", "abc", 3],
  ["abc", "", 3],
  ["same", "same", 0],
  ["kitten", "sitting", 3],
  ["flaw", "lawn", 2],
  ["intention", "execution", 5],
  ["ab", "ba", 2],
] as const)('"%s" and "%s" are %i edits apart, in both directions', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance)
  expect(editDistance(b, a)).toBe(distance)
})

test("the nearest names come first, and equally near ones in the order given", () => {
  expect(nearestNames("traim", ["export", "train", "trail", "render"], 2)).toEqual(["train", "trail"])
  expect(nearestNames("x", ["a", "b", "c"], 2)).toEqual(["a", "b"])
})
