import { access, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { tarEnd, tarEntry } from "../../../test/hostile.ts"
import { expandShards } from "../expand.ts"
import { detectFormat } from "../training/sources/source.ts"
import { stampOf } from "./index-file.ts"
import { indexCacheFolder } from "./index-places.ts"
import { indexShards } from "./index-shards.ts"
import { findShardIndex, plainShard } from "./shard-index.ts"

const unwritable = new Set<string>()
vi.mock("node:fs/promises", async (importOriginal) => {
  const real = await importOriginal<typeof import("node:fs/promises")>()
  const mocked: typeof real.access = (path, mode) =>
    unwritable.has(String(path)) ? Promise.reject(new Error("EROFS")) : real.access(path, mode)
  return { ...real, access: mocked }
})

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "index-shards-"))
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  unwritable.clear()
  await rm(folder, { recursive: true })
})

/** @param bytes of the picture in it */
async function writeTar(name: string, bytes = 3): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, Buffer.concat([tarEntry("a.jpg", "x".repeat(bytes)), tarEntry("b.jpg", "y"), tarEnd]))
  return path
}

function countFound(path: string): number | null {
  using found = findShardIndex(plainShard(path)!)
  return found?.count ?? null
}

test("tar and JSONL, by several threads; compressed ones have no index", async () => {
  for (let i = 0; i < 6; i++) await writeTar(`${i}.tar`)
  await writeFile(join(folder, "7.jsonl"), '{"id":1,"text":"a"}\n\n{"id":2,"text":"b"}\n')
  await writeFile(join(folder, "8.jsonl.gz"), gzipSync('{"id":1,"text":"a"}\n'))
  const sources = [`${folder}/{0..5}.tar`, join(folder, "7.jsonl"), join(folder, "8.jsonl.gz")]
  const updates: number[] = []
  const done = await indexShards({
    ...{ sources, threads: 2 },
    startProgress: () => ({ update: (at) => updates.push(at), done: () => {} }),
  })
  expect(done).toEqual({ shards: 8, made: 7, inCache: 0, small: 0, compressed: 1, samples: 14, damaged: [] })
  expect(updates).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  expect(countFound(join(folder, "5.tar"))).toBe(2)
  expect(countFound(join(folder, "7.jsonl"))).toBe(2)
})

test("a shard that changed since is indexed again, the others are not", async () => {
  const [first, second] = [await writeTar("0.tar"), await writeTar("1.tar")]
  await indexShards({ sources: folder })
  const before = stampOf(`${first}.index`)
  await utimes(second, 5, 5)
  const done = await indexShards({ sources: folder })
  expect([done.made, done.samples]).toEqual([1, 4])
  expect(stampOf(`${first}.index`)).toEqual(before)
  expect(countFound(second)).toBe(2)
})

test("one that is cut, damaged or of another version is replaced", async () => {
  const path = await writeTar("0.tar")
  await indexShards({ sources: path })
  const bytes = await readFile(`${path}.index`)
  const other = Buffer.from(bytes).fill("9", 7, 8)
  for (const odd of [bytes.subarray(0, -1), bytes.subarray(0, 8), other, Buffer.alloc(0)]) {
    await writeFile(`${path}.index`, odd)
    expect((await indexShards({ sources: path })).made).toBe(1)
    expect(await readFile(`${path}.index`)).toEqual(bytes)
  }
})

test("what others wrote under an index's name stays", async () => {
  const path = await writeTar("0.tar")
  await writeFile(`${path}.index`, "an index of mine")
  const { made, damaged } = await indexShards({ sources: folder })
  const reason = `${path}.index is there already, and mobileclip did not write it`
  expect([made, damaged]).toEqual([0, [{ path, reason, hint: "move it away", isIndexed: false }]])
  expect(await readFile(`${path}.index`, "utf8")).toBe("an index of mine")
})

test("where nothing can be written beside, the cache of the user takes them, which is said once", async () => {
  for (const name of ["0.tar", "1.tar"]) await writeTar(name, 2 ** 22)
  unwritable.add(folder)
  await expect(access(folder)).rejects.toThrow("EROFS")
  const notes: string[] = []
  const index = () => indexShards({ sources: folder, onNote: (line) => notes.push(line) })
  expect(await index()).toMatchObject({ made: 2, inCache: 2, samples: 4 })
  expect(notes).toEqual([
    `${folder} cannot be written to: its indexes go to ${indexCacheFolder()}, for this user alone`,
  ])
  expect((await readdir(folder)).sort()).toEqual(["0.tar", "1.tar", "cache"])
  expect(countFound(join(folder, "1.tar"))).toBe(2)
  expect(await index()).toMatchObject({ made: 0, samples: 4 })
})

test("small shards in such a folder have no index, and none is said to be made", async () => {
  for (const name of ["0.tar", "1.tar"]) await writeTar(name)
  unwritable.add(folder)
  expect(await indexShards({ sources: folder })).toMatchObject({ shards: 2, made: 0, inCache: 0, small: 2, samples: 4 })
})

test("two at once make the same", async () => {
  const paths = await Promise.all(["0.tar", "1.tar", "2.tar"].map((name) => writeTar(name)))
  const both = await Promise.all([indexShards({ sources: folder }), indexShards({ sources: folder, threads: 1 })])
  expect(both.map(({ samples, damaged }) => [samples, damaged])).toEqual([
    [6, []],
    [6, []],
  ])
  expect(paths.map(countFound)).toEqual([2, 2, 2])
  expect((await readdir(folder)).sort()).toEqual([
    "0.tar",
    "0.tar.index",
    "1.tar",
    "1.tar.index",
    "2.tar",
    "2.tar.index",
  ])
})

test("an aborted command leaves whole indexes, and the next one goes on", async () => {
  for (let i = 0; i < 8; i++) await writeTar(`${i}.tar`)
  const abort = new AbortController()
  const startProgress = () => ({ update: (at: number) => at === 3 && abort.abort(), done: () => {} })
  const options = { sources: folder, threads: 1, startProgress, signal: abort.signal }
  await expect(indexShards(options)).rejects.toThrow("aborted")
  const made = (await readdir(folder)).filter((name) => name.endsWith(".index"))
  expect(made.length).toBeGreaterThanOrEqual(3)
  expect(await indexShards({ sources: folder })).toMatchObject({ made: 8 - made.length, samples: 16 })
})

test("indexes beside shards are not taken for shards: not in a folder, nor where a shell names them", async () => {
  for (const name of ["0.tar", "1.tar"]) await writeTar(name)
  await indexShards({ sources: folder })
  const shards = [join(folder, "0.tar"), join(folder, "1.tar")]
  expect(await expandShards(folder)).toEqual(shards)
  const named = (await readdir(folder)).map((name) => join(folder, name))
  expect(named.length).toBe(4)
  expect(await expandShards(named)).toEqual(shards)
  expect(await detectFormat(folder)).toBe("shards")
  await expect(expandShards(`${shards[0]}.index`)).rejects.toThrow("the list of shards is empty")
})
