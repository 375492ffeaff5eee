import { expect, test } from "vitest"
import { contentKey, ResultCache } from "./result-cache.ts"

const vector = (value: number) => Float32Array.of(value, value)
/** With what the cache counts beside the two values. */
const room = (entries: number) => entries * (200 + 8)

test("what was used last is kept, within the bytes that it may take", () => {
  const cache = new ResultCache(room(3))
  for (const key of ["a", "b", "c"]) cache.set(key, vector(key.charCodeAt(0)))
  expect(cache.get("a")).toEqual(vector(97))
  cache.set("d", vector(100))
  expect(["a", "b", "c", "d"].map((key) => cache.get(key)?.[0] ?? null)).toEqual([97, null, 99, 100])
  expect(cache.counts).toEqual({ hits: 4, misses: 1 })
  cache.set("e", new Float32Array(2 + 208 / 4))
  expect(["a", "c", "d", "e"].map((key) => cache.get(key)?.length ?? null)).toEqual([null, null, 2, 54])
})

test("what is set again takes no more room, and what has none is not kept", () => {
  const cache = new ResultCache(room(2))
  cache.set("a", vector(1))
  for (let i = 0; i < 5; i++) cache.set("b", vector(2))
  cache.set("c", new Float32Array(1000))
  expect(["a", "b", "c"].map((key) => cache.get(key)?.[0] ?? null)).toEqual([1, 2, null])
  const none = new ResultCache(0)
  none.set("a", vector(1))
  expect(none.get("a")).toBe(null)
})

test("a key tells models, texts and pictures, and contents apart, and is the same for the same", () => {
  const keys = [
    contentKey("model", "text", "a"),
    contentKey("other", "text", "a"),
    contentKey("model", "picture", Buffer.from("a")),
    contentKey("model", "text", "b"),
  ]
  expect(new Set(keys).size).toBe(4)
  expect(contentKey("model", "text", "a")).toBe(keys[0])
  expect(contentKey("model", "picture", new Uint8Array([97]))).toBe(keys[2])
})
