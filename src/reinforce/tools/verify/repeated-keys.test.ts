import { mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { keyHash } from "../key-hash.ts"
import { RepeatedKeys } from "./repeated-keys.ts"

function hashesOf(keys: readonly string[]): Uint32Array {
  return Uint32Array.from(keys.flatMap((key) => [...keyHash(key)]))
}

/** 300 shards of 500 keys, two of which, after the first shard, are that of the first sample of the shard before. */
const shards = Array.from({ length: 300 }, (_, shard) =>
  Array.from({ length: 500 }, (_, i) => (shard > 0 && i % 250 === 7 ? `${shard - 1}-0` : `${shard}-${i}`)),
)

const repeated = Array.from({ length: 299 }, (_, i) => [
  { shard: i + 1, sample: 7 },
  { shard: i + 1, sample: 257 },
]).flat()

test("each key but the first of its kind is found, in order", async () => {
  using keys = new RepeatedKeys()
  for (const [shard, names] of shards.entries()) keys.add(shard, hashesOf(names))
  expect(await keys.find()).toEqual(repeated)
})

test("what does not fit in memory waits in a file, which is gone in the end", async () => {
  const folder = mkdtempSync(join(tmpdir(), "repeated-"))
  {
    using keys = new RepeatedKeys({ maxBytes: 500_000, folder })
    for (const [shard, names] of shards.entries()) keys.add(shard, hashesOf(names))
    expect(readdirSync(folder)).toHaveLength(1)
    expect(await keys.find()).toEqual(repeated)
  }
  expect(readdirSync(folder)).toEqual([])
  rmSync(folder, { recursive: true })
})

test("a temporary file that is cut, or cannot be made, is an error", async () => {
  const folder = mkdtempSync(join(tmpdir(), "repeated-"))
  const around = join(folder, "none")
  {
    using keys = new RepeatedKeys({ maxBytes: 500_000, folder })
    for (const [shard, names] of shards.entries()) keys.add(shard, hashesOf(names))
    truncateSync(join(folder, readdirSync(folder)[0]!, "keys"), 100_000)
    await expect(keys.find()).rejects.toThrow("was cut while it was in use")
  }
  using others = new RepeatedKeys({ maxBytes: 1000, folder: around })
  expect(() => others.add(0, hashesOf(shards[0]!))).toThrow(around)
  rmSync(folder, { recursive: true })
})

test("no key, and keys that are all alike", async () => {
  using keys = new RepeatedKeys()
  expect(await keys.find()).toEqual([])
  keys.add(0, new Uint32Array(0))
  keys.add(1, hashesOf(["a", "a", "a"]))
  expect(await keys.find()).toEqual([
    { shard: 1, sample: 1 },
    { shard: 1, sample: 2 },
  ])
})
