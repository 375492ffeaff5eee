import { expect, test } from "vitest"
import { textTable, textWidth } from "./table.ts"

test("columns are as wide as their widest cell, numbers on the right", () => {
  const columns = [{ title: "label" }, { title: "score", align: "right" }] as const
  const rows = [
    ["cat", "99.1%"],
    ["a longer one", "0.9%"],
  ]
  expect(textTable(columns, rows)).toBe("label         score\ncat           99.1%\na longer one   0.9%")
})

test("wide characters and combining marks keep columns in line", () => {
  expect(["猫", "e\u0301", "😀", "ab"].map(textWidth)).toEqual([2, 1, 2, 2])
})

test("control characters do not reach the terminal", () => {
  expect(textTable([{ title: "file" }], [["\x1b[31mred\n.jpg"]])).toBe("file\n\\x1b[31mred\\n.jpg")
})
