import { expect, test } from "vitest"
import { KeySet, keyHash } from "./key-hash.ts"

test("a set knows every key it has, also after it grew", () => {
  const set = new KeySet(8)
  for (let i = 0; i < 10_000; i++) expect(set.add(keyHash(`${i}`))).toBe(true)
  for (let i = 0; i < 10_000; i++) expect(set.add(keyHash(`${i}`))).toBe(false)
  expect(set.size).toBe(10_000)
})
