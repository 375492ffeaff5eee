import { expect, test } from "vitest"
import { agreement, fixedInput, selfTestRows, summarize } from "./self-test.ts"

const width = 32
const rows = Float32Array.from({ length: selfTestRows * width }, (_, i) => Math.sin(i * i))
const expected = summarize(rows)

test("the same vectors agree, and noise of float16 hardly shows", () => {
  expect(agreement(summarize(rows), expected)).toBeCloseTo(1, 12)
  const half = rows.map((value, i) => value * (1 + (i % 2 ? 1 : -1) * 2 ** -11))
  expect(agreement(summarize(half), expected)).toBeGreaterThan(0.9999)
})

test("one wrong row, another length, and what is not a number are seen", () => {
  const wrong = rows.slice()
  wrong.set(rows.subarray(0, width), width)
  expect(agreement(summarize(wrong), expected)).toBeLessThan(0.9)
  const longer = rows.map((value, i) => (i % width < 8 ? value : 2 * value))
  expect(agreement(summarize(longer), expected)).toBeLessThan(0.7)
  expect(agreement(summarize(rows.map((value, i) => (i === 70 ? Number.NaN : value))), expected)).toBeNaN()
})

test("a shorter batch is the start of the longer one", () => {
  for (const tower of ["image", "text"] as const) {
    const sizes = { imageSize: 8, contextLength: 16 }
    const [one, three] = [fixedInput(tower, sizes, 1), fixedInput(tower, sizes, 3)]
    expect([...three.data.slice(0, one.data.length)]).toEqual([...one.data])
  }
})
