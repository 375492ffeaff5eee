import { expect, test } from "vitest"
import { Random } from "../../../../core/arrays/random.ts"
import { parseExactJson } from "../../../json-text.ts"
import { FlatObject } from "./flat-object.ts"

const flat = new FlatObject(["image", "path"], ["caption", "text"])

function found(line: string): readonly [string, string] | null {
  const bytes = Buffer.from(`x${line}y`)
  const spans = flat.find(bytes, 1, bytes.length - 1)
  return (
    spans && [
      bytes.toString("utf8", spans.imageStart, spans.imageEnd),
      bytes.toString("utf8", spans.captionStart, spans.captionEnd),
    ]
  )
}

test("usual lines are read", () => {
  expect(found('{"image": "a/0.jpg", "caption": "a café"}\r')).toEqual(["a/0.jpg", "a café"])
  expect(found(' {"n":-0.5e+3,"text":"t","b":true,"c":null,"d":false,"path":"p","caption":"c","z":0}')).toEqual([
    "p",
    "c",
  ])
})

test.each([
  ['{"image":"a","caption":"b",}'],
  ['{"image":"a" "caption":"b"}'],
  ['{"image":"a","caption":"b"} x'],
  ['{"image":"a","caption":"b"'],
  ['{"image":"a","caption":"b\\n"}'],
  ['{"image":"a","caption":"b\u0001"}'],
  ['{"image":"a","caption":null}'],
  ['{"image":"a","image":"b","caption":"c"}'],
  ['{"image":"a","caption":["b"]}'],
  ['{"image":"a","caption":"b","n":01}'],
  ['{"image":"a","caption":"b","n":1.}'],
  ['{"image":"a","caption":"b","n":1e}'],
  ['{"image":"a","caption":"b","n":-}'],
  ['{"image":"a","caption":"b","n":NaN}'],
  ['{"image":"a","caption":"b","n":nul}'],
  ['{"image":"a"}'],
  ["{}"],
  [""],
])("%s is left to the parser", (line) => {
  expect(found(line)).toBe(null)
})

test("what it reads of any line is what a parser of JSON reads", () => {
  const random = new Random(1)
  const tokens = ["{", "}", '"image"', '"path"', '"text"', '"caption"', '"n"', ":", ",", '"é"', '"a"', "1", "0.5", "true", " ", "-2e3"] // biome-ignore format: tokens
  let count = 0
  for (let round = 0; round < 200_000; round++) {
    const members = Array.from({ length: 1 + random.int(4) }, () => {
      const value = random.pick(tokens.slice(9, 14))
      return `${random.pick(tokens.slice(2, 7))}:${value}`
    })
    const whole = `{${members.join()}}`
    const text = random.chance(0.7) ? whole : whole.replace(random.pick(tokens), random.pick(tokens))
    const cells = found(text)
    if (!cells) continue
    const value = parseExactJson(text) as Record<string, unknown>
    expect(cells, text).toEqual([value.image ?? value.path, value.caption ?? value.text])
    count++
  }
  expect(count).toBeGreaterThan(1000)
})
