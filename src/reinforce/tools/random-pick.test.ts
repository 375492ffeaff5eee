import { expect, test } from "vitest"
import { RandomPick } from "./random-pick.ts"

function pick(keys: readonly string[], count: number, seed = 0): string[] {
  const chosen = new RandomPick<string>(count, seed)
  for (const key of keys) chosen.offer(key, key)
  return chosen.items()
}

const keys = Array.from({ length: 500 }, (_, i) => `${i}`)

test("the choice depends on the seed and not on the order", () => {
  const chosen = pick(keys, 20)
  expect(new Set(chosen).size).toBe(20)
  expect(pick(keys.toReversed(), 20)).toEqual(chosen)
  expect(pick(keys, 20, 1)).not.toEqual(chosen)
  expect(pick(keys, 10)).toEqual(chosen.slice(0, 10))
})

test("fewer than asked for are all chosen; none where none are", () => {
  expect(pick(["b", "a"], 5).toSorted()).toEqual(["a", "b"])
  expect(pick(keys, 0)).toEqual([])
})

test("every key is as likely as any other", () => {
  const times = new Array<number>(20).fill(0)
  for (let seed = 0; seed < 2000; seed++) for (const key of pick(keys.slice(0, 20), 5, seed)) times[Number(key)]! += 1
  // 500 each, with a standard deviation of 19.
  expect(Math.min(...times)).toBeGreaterThan(420)
  expect(Math.max(...times)).toBeLessThan(580)
})
