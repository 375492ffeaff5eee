import { expect, test } from "vitest"
import type { SampleList } from "../sources/location.ts"
import { ListSampler } from "./sampler.ts"

const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i)

/** A list that exists as far as it is asked for. */
const listOf = (count: number): SampleList => ({
  count,
  location: (index) => ({ kind: "file", path: String(index), captions: [] }),
})

test.each([1.28e9, 2 ** 32 + 1, 2 ** 40])("of %d samples any position of any epoch is picked", (count) => {
  const sampler = new ListSampler(listOf(count), 3, false)
  const ids = range(1000, count - 500).map((position) => {
    const { id, location } = sampler.pick(position, 0) as { id: number; location: { path: string } }
    expect(location.path).toBe(String(id))
    return id
  })
  expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id < count)).toBe(true)
  expect(new Set(ids.slice(0, 500)).size).toBe(500)
  expect(Math.max(...ids)).toBeGreaterThan(0.9 * count)
})

test("replacements and draws of few samples are those of all versions", () => {
  const sampler = new ListSampler(listOf(1000), 3, true)
  expect(range(6).map((position) => (sampler.pick(position, 0) as { id: number }).id)).toEqual([
    196, 675, 670, 180, 94, 359,
  ])
  expect(range(6).map((position) => (sampler.pick(position, 2) as { id: number }).id)).toEqual([
    884, 33, 247, 70, 497, 758,
  ])
})

test.each([2 ** 33, 2 ** 45])("of %d samples each can be drawn, and about as often", (count) => {
  const sampler = new ListSampler(listOf(count), 3, true)
  const ids = range(20_000).map((position) => (sampler.pick(position, 1) as { id: number }).id)
  expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id < count)).toBe(true)
  // The last bits are drawn too.
  for (const values of [ids.map((id) => Math.floor((id * 16) / count)), ids.map((id) => id % 16)]) {
    const counts = range(16).map((cell) => values.filter((value) => value === cell).length)
    for (const found of counts) expect(Math.abs(found - 1250)).toBeLessThan(5 * Math.sqrt(1250))
  }
})
