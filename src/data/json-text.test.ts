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
  expect(parseJsonText(`[${"1,".repeat(262_000)}1]`)).toHaveLength(262_001)
  expect(() => parseJsonText(`[${"1,".repeat(400_000)}1]`)).toThrow(
    "it has more values than are read: 362144 in 800003 letters",
  )
  expect(() => parseJsonText(`[${"[],".repeat(250_000)}1]`)).toThrow(/more values than are read/)
  expect(() => parseJsonText(`[${'{"":{}},'.repeat(250_000)}1]`)).toThrow(/more values than are read/)
  expect(parseJsonText(JSON.stringify(",[{:".repeat(50_000)))).toHaveLength(200_000)
  // 76 views for each one that is published, and a row of 50,000 numbers.
  const view = [[1, 2, 300, 400], [[3, 0.123456], [12, 1.5]]] // biome-ignore format: a view
  expect(parseJsonText(JSON.stringify(Array.from({ length: 2000 }, () => view)))).toHaveLength(2000)
  expect(parseJsonText(JSON.stringify(Array.from({ length: 50_000 }, (_, i) => i / 7)))).toHaveLength(50_000)
})

const rows = (count: number, width: number, value: (i: number) => number) =>
  Array.from({ length: count }, () => Array.from({ length: width }, (_, i) => value(i)))

test.each<[string, unknown]>([
  ["500 captions as zero-padded token ids", rows(500, 77, (i) => (i < 6 ? i : 0))],
  ["36 rows of 3072 small integers", rows(36, 3072, (i) => i % 10)],
  ["a mask of 256 x 256", { mask: rows(256, 256, (i) => i % 2) }],
  ["3,000 views", Array.from({ length: 3000 }, () => [[1, 2, 3, 4], [[3, 0.5], [12, 1]]])],
])("numbers of a sample are read: %s", (_, value) => {
  expect(parseJsonText(JSON.stringify(value))).toEqual(value)
}) // biome-ignore format: a table

test("levels are counted", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`
  expect(parseJsonText(nested(128))).toHaveLength(1)
  expect(() => parseJsonText(nested(129))).toThrow("it nests deeper than 128 levels")
  expect(() => parseJsonText('{"a":'.repeat(1e6))).toThrow("it nests deeper than 128 levels")
  expect(parseJsonText(`[${"[[]],".repeat(1000)}0]`)).toHaveLength(1001)
})
