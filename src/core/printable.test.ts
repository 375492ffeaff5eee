import { expect, test } from "vitest"
import { oneLine, quoted } from "./errors.ts"
import { printable, printableLines } from "./printable.ts"

test("what steers a terminal or turns the direction is shown, and nothing else is touched", () => {
  expect(printable("\x1b]0;title\x07\x1b[2Jcat\r\n\tdog\0")).toBe("\\x1b]0;title\\x07\\x1b[2Jcat\\r\\n\\tdog\\x00")
  expect(printable("\x7f\x9b31m")).toBe("\\u007f\\u009b31m")
  expect(printable("gpj.\u202eevil\u2066x\u2069")).toBe("gpj.\\u202eevil\\u2066x\\u2069")
  expect(printable("a\u2028b\u2029c\ud800d\udc00")).toBe("a\\u2028b\\u2029c\\ud800d\\udc00")
  const ordinary = "naïve e\u0301 قطة\u200f क्षि 猫 👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 \ue000 \\ \"'"
  expect(printable(ordinary)).toBe(ordinary)
})

test("in text of several lines the breaks stay, and JSON keeps its meaning", () => {
  expect(printableLines("a\n\tb\x1b[m\r\n")).toBe("a\n\tb\\x1b[m\\r\n")
  const value = { name: "\u009b\u202e\u2028\x7f\x1b", other: "é\ud800" }
  const text = printableLines(JSON.stringify(value, null, 2))
  expect(text).not.toMatch(/[\u007f-\u009f\u2028\u202e]/)
  expect(JSON.parse(text)).toEqual(value)
})

test("messages cut foreign text and show what it hides", () => {
  expect(oneLine("a\x1b[31m\nb")).toBe("a\\x1b[31m\\nb")
  expect(oneLine("👩‍👩‍👧")).toBe("👩‍👩‍👧")
  expect(oneLine("x".repeat(101))).toBe(`${"x".repeat(100)}...`)
  expect(oneLine(`${"x".repeat(99)}😀`)).toBe(`${"x".repeat(99)}...`)
  expect(quoted('a"\x1b\u202e')).toBe('"a\\"\\u001b\\u202e"')
})
