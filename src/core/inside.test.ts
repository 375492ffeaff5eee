import { expect, test } from "vitest"
import { UserError } from "./errors.ts"
import { requireFileName, requireInside } from "./inside.ts"

test.each(["0.tar", "a/b/0.tar", "..a", "a..", "Zürich 1.tar"])("%s stays inside", (name) => {
  expect(requireInside(name, "a list")).toBe(name)
})

const leading = ["", ".", "..", "../x", "a/../../x", "/x", "a//b", "a/", "C:x", "..\\x", "a\0b", "a/./b", "a\nb"]

test.each(leading)("%j is refused", (name) => {
  expect(() => requireInside(name, "a list")).toThrow(UserError)
  expect(() => requireFileName(name, "a list")).toThrow(UserError)
})

test("a file name has one part", () => {
  expect(requireFileName("a b", "a list")).toBe("a b")
  expect(() => requireFileName("a/b", "a list")).toThrow('a list names "a/b", which is not a file name')
})
