import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tarEnd, tarEntry } from "../../../../test/hostile.ts"
import { IndexPool } from "../../sample-index/index-pool.ts"
import { indexShards } from "../../sample-index/index-shards.ts"
import { openStorage } from "../../stores/open.ts"
import { OpenIndexes } from "./open-indexes.ts"
import { joinShards, ShardSet } from "./shard-set.ts"

let folder: string
let urls: string[]
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "shard-set-"))
  urls = ["0", "1", "2", "3", "4"].map((name) => join(folder, `${name}.tar`))
  for (const [i, url] of urls.entries()) {
    const entries = Array.from({ length: i + 1 }, (_, k) => tarEntry(`${k}.txt`, `${k} of ${i}`))
    await writeFile(url, Buffer.concat([...entries, tarEnd]))
  }
})
afterAll(() => rm(folder, { recursive: true }))

/** @param most files of indexes that are open at once */
async function joined(first: number, most = 1024, signal?: AbortSignal) {
  const fetched: string[] = []
  const storage = openStorage()
  const fetch = (url: string) => {
    fetched.push(url)
    return storage.fetch(url)
  }
  const indexes = new OpenIndexes(most)
  const options = { indexes, pool: new IndexPool(1), extensions: ["txt"], onMade: () => {}, report: () => {} }
  const set = new ShardSet(
    urls,
    { ...storage, fetch },
    { ...options, temporaryPath: async () => "" },
    Number.POSITIVE_INFINITY,
  )
  const list = await joinShards(set, { first, signal })
  const locations = Array.from({ length: list.count }, (_, i) => list.location((7 * i) % list.count))
  await set[Symbol.asyncDispose]()
  return { fetched, locations }
}

test("ranks begin at different shards and get the same list", async () => {
  const [first, third] = [await joined(0), await joined(2)]
  expect(first.fetched).toEqual(urls)
  expect(third.fetched).toEqual([...urls.slice(2), ...urls.slice(0, 2)])
  expect(third.locations).toEqual(first.locations)
  expect(first.locations).toHaveLength(15)
})

test("few files of indexes are open, and the list is the same", async () => {
  const before = await joined(0)
  await indexShards({ sources: folder })
  for (const most of [1, 2, 1024]) expect((await joined(0, most)).locations).toEqual(before.locations)
})

test("a signal ends the opening", async () => {
  await expect(joined(0, 1024, AbortSignal.abort("stopped"))).rejects.toBe("stopped")
})
