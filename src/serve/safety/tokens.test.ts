import { expect, test } from "vitest"
import { requireToken } from "./tokens.ts"

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
