import { expect, test } from "vitest"
import { parseTokens, requireToken } from "./tokens.ts"

const tokens = ["the first token", "the second: token"]
const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`

test.each([
  "Bearer the first token",
  "bearer the second: token",
  basic("anyone:the first token"),
  basic(":the second: token"),
])("%s is answered", (header) => expect(() => requireToken(header, tokens)).not.toThrow())

test.each([
  ...["Bearer the first toke", "Bearer the first token ", "Bearer the first tokens", "Bearer The first token"],
  ...[basic("the first token"), basic("anyone: the first token")],
])("%s is not", (header) => expect(() => requireToken(header, tokens)).toThrow())

test.each([undefined, "", "Bearer", "Bearer ", "the first token", "Token the first token", basic("the first token:")])(
  "%j brings none",
  (header) =>
    expect(() => requireToken(header, tokens)).toThrow("a token is expected: send Authorization: Bearer TOKEN"),
)

test("of many others none is taken, however its digest begins", () => {
  for (let i = 0; i < 5000; i++)
    expect(() => requireToken(`Bearer ${i}`, tokens)).toThrow("the token is not one of this server's")
})

test("where there are none, everybody is answered", () => expect(() => requireToken(undefined, [])).not.toThrow())

test("a file of tokens: comments and blank lines are passed over", () => {
  const file = [
    "# the laptop, until March",
    "",
    "0123456789abcdef",
    "  \t",
    "  # short",
    "\tfedcba9876543210#x \r",
    "#",
  ]
  expect(parseTokens(file, "tokens.txt")).toEqual(["0123456789abcdef", "fedcba9876543210#x"])
})

test.each([
  [["# one", "", "0123456789abcde"], "line 3 of tokens.txt: a token has less than 16 characters"],
  [["0123456789abcdef # the laptop"], "line 1 of tokens.txt has a comment after a token"],
  [["# 0123456789abcdef", ""], "tokens.txt has no token"],
  [[], "tokens.txt has no token"],
])("%j is refused", (lines, message) => expect(() => parseTokens(lines, "tokens.txt")).toThrow(message))
