import { expect, test } from "vitest"
import { wrapText } from "./contact-sheet.ts"

test("lines break between words, and within a word that is longer than a line", () => {
  expect(wrapText("a red  car\non a road", 7)).toEqual(["a red", "car on", "a road"])
  expect(wrapText("abcdefghij kl", 4)).toEqual(["abcd", "efgh", "ij", "kl"])
  expect(wrapText("abcdefgh\u0007", 4)).toEqual(["abcd", "efgh"])
  expect(wrapText("", 4)).toEqual([""])
})

test("wide characters take two columns", () => {
  expect(wrapText("写真写真", 4)).toEqual(["写真", "写真"])
})
