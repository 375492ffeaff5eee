import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { KeyIndex } from "./key-index.ts"

const folder = mkdtempSync(join(tmpdir(), "key-index-"))
afterAll(() => rmSync(folder, { recursive: true }))

async function* locations(count: number) {
  for (let i = 0; i < count; i++) yield { key: `key ${i}`, shard: i % 7, start: i * 3e9, length: i + 1 }
}

test.each([
  ["in memory", 2 ** 30, 0],
  ["in a file", 1000, 1],
])("every key is found where it was put, %s", async (_, maxBytes, files) => {
  const count = 5000
  {
    using index = await KeyIndex.build(locations(count), { maxBytes, folder })
    expect(readdirSync(folder)).toHaveLength(files)
    expect(index.size).toBe(count)
    const ranks = new Set<number>()
    for (let i = 0; i < count; i++) {
      const found = index.find(`key ${i}`)!
      ranks.add(found.rank)
      expect(found).toEqual({ shard: i % 7, start: i * 3e9, length: i + 1, rank: found.rank })
    }
    expect([ranks.size, Math.min(...ranks), Math.max(...ranks)]).toEqual([count, 0, count - 1])
    expect(index.find("key 5000")).toBeNull()
    expect(index.duplicates).toEqual([])
  }
  expect(readdirSync(folder)).toEqual([])
})

test.each([2 ** 30, 100])(
  "the first of two locations of a key is kept, the others are told (%d bytes)",
  async (maxBytes) => {
    async function* twice() {
      yield* locations(20)
      yield { key: "key 3", shard: 50, start: 1, length: 2 }
      yield { key: "key 3", shard: 51, start: 1, length: 2 }
    }
    using index = await KeyIndex.build(twice(), { maxBytes, folder })
    expect(index.size).toBe(20)
    expect(index.find("key 3")!.shard).toBe(3)
    expect(index.duplicates.map(({ shard }) => shard)).toEqual([50, 51])
  },
)

test("an index of nothing finds nothing", async () => {
  using index = await KeyIndex.build(locations(0))
  expect([index.size, index.find("")]).toEqual([0, null])
})

test("an error while locations are read leaves no file", async () => {
  async function* broken() {
    yield* locations(100)
    throw new Error("unplugged")
  }
  await expect(KeyIndex.build(broken(), { maxBytes: 100, folder })).rejects.toThrow("unplugged")
  expect(readdirSync(folder)).toEqual([])
})
