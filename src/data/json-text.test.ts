import { expect, test } from "vitest"
import { parseJsonText } from "./json-text.ts"

test.each([
  '{"param_aug":[[[1,2,3,4],[[5,0.5],[6,1]]],[[1,2,3,4],null]]}',
  '{"a":"[[[[{{{{,,,,","b\\"[":"\\\\","c":"\\\\\\"]"}',
  '"[,"',
  "-1.5e3",
  " [ ] ",
  '{"é":"\\u0022,"}',
])("what is ordinary is parsed: %s", (text) => {
  expect(parseJsonText(text)).toEqual(JSON.parse(text))
})

test.each(["", "{", '"open', '"open\\"', "[1,]", "]]]]", '{"a":1}x'])("%s is not JSON", (text) => {
  expect(() => parseJsonText(text)).toThrow(SyntaxError)
})

test("values are counted, and letters within texts are not", () => {
  expect(parseJsonText(`[${"1,".repeat(16_000)}1]`)).toHaveLength(16_001)
  expect(() => parseJsonText(`[${"1,".repeat(30_000)}1]`)).toThrow(
    "it has more than 23884 values, and only 60003 letters",
  )
  expect(() => parseJsonText(`[${"[],".repeat(20_000)}1]`)).toThrow(/more than \d+ values/)
  expect(() => parseJsonText(`[${'{"":{}},'.repeat(20_000)}1]`)).toThrow(/more than \d+ values/)
  expect(parseJsonText(JSON.stringify(",[{:".repeat(50_000)))).toHaveLength(200_000)
  // 76 views for each one that is published, and a row of 50,000 numbers.
  const view = [[1, 2, 300, 400], [[3, 0.123456], [12, 1.5]]] // biome-ignore format: a view
  expect(parseJsonText(JSON.stringify(Array.from({ length: 2000 }, () => view)))).toHaveLength(2000)
  expect(parseJsonText(JSON.stringify(Array.from({ length: 50_000 }, (_, i) => i / 7)))).toHaveLength(50_000)
})

test("levels are counted", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`
  expect(parseJsonText(nested(128))).toHaveLength(1)
  expect(() => parseJsonText(nested(129))).toThrow("it nests deeper than 128 levels")
  expect(() => parseJsonText('{"a":'.repeat(1e6))).toThrow("it nests deeper than 128 levels")
  expect(parseJsonText(`[${"[[]],".repeat(1000)}0]`)).toHaveLength(1001)
})
