import { expect, test } from "vitest"
import { JsonNumber, plainNumbers } from "../core/json.ts"
import { formatExactJson, parseExactJson, parseJsonText } from "./json-text.ts"

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

test.each([
  '{"hash":3791411052119578831}',
  "[9007199254740993,-9223372036854775808,18446744073709551615]",
  '{"similarity":NaN,"low":-Infinity,"high":Infinity}',
  "[1.0,-0,0.10,1e5,1E+400,0.30000000000000004441,-5e-324,-1e-320,5e-324,-1.5e-310]",
  '{"a":[{"b":[1,"1.0",NaN]}],"1.0":"NaN","":null,"t":true}',
  "NaN",
])("Python's JSON comes back letter by letter: %s", (text) => {
  expect(formatExactJson(parseExactJson(text))).toBe(text)
})

test("numbers that JavaScript keeps are numbers, and others know their value", () => {
  const value = parseExactJson(
    '{"width": 640, "p": 0.25, "n": [-3, 1e-7], "id": 3791411052119578831, "x": NaN, "y": 2.0}',
  )
  expect(value).toEqual({
    ...{ width: 640, p: 0.25, n: [-3, 1e-7] },
    ...{ id: new JsonNumber("3791411052119578831"), x: new JsonNumber("NaN"), y: new JsonNumber("2.0") },
  })
  expect(plainNumbers(value)).toEqual({
    width: 640,
    p: 0.25,
    n: [-3, 1e-7],
    id: Number("3791411052119578831"),
    x: NaN,
    y: 2,
  })
})

test.each([
  "1.0.5",
  "01.0",
  "1.NaN",
  "-NaN",
  "+1",
  "[1.0 2.0]",
  "1e",
  "--1.0",
  "Infinity1",
  "NaN1",
  "-01",
  "[1.0-5]",
  "1.0e",
  "Infinity-1",
  "nan",
  '{"a":1.0',
  "0x1.0",
])("%s is not JSON of Python either", (text) => {
  expect(() => parseExactJson(text)).toThrow(SyntaxError)
})
