import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { stampOf } from "./index-file.ts"
import {
  findSampleIndex,
  indexBeside,
  indexCacheFolder,
  indexInCache,
  keepSampleIndex,
  type SampleIndexContent,
  trimIndexCache,
  writeIndexBeside,
} from "./index-places.ts"

let folder: string
let shard: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "index-places-"))
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"))
  shard = join(folder, "0.tar")
  writeFileSync(shard, Buffer.alloc(2 ** 22))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

function content(facts: unknown, path = shard): SampleIndexContent {
  return { format: "tar", stamp: stampOf(path), table: [Float64Array.of(0, 512)], facts: () => facts }
}

function factsFound(path = shard): unknown {
  using found = findSampleIndex(path, "tar", stampOf(path))
  return found?.facts ?? null
}

test("one in the cache is found by any way to the file, and one beside it comes first", async () => {
  expect(factsFound()).toBe(null)
  expect(await keepSampleIndex(shard, content("kept"))).toBe(null)
  expect(factsFound()).toBe("kept")
  expect(indexInCache(join(folder, "x", "..", "0.tar"), "tar")).toBe(indexInCache(resolve(shard), "tar"))
  await writeIndexBeside(shard, content("beside"))
  expect(factsFound()).toBe("beside")
  expect(readdirSync(folder).sort()).toEqual(["0.tar", "0.tar.index", "cache"])
})

test("a file that changed has no index, and a foreign one beside it is passed over", async () => {
  await keepSampleIndex(shard, content("kept"))
  writeFileSync(indexBeside(shard), "the index of a book")
  expect(factsFound()).toBe("kept")
  utimesSync(shard, 1, 1)
  expect(factsFound()).toBe(null)
})

test("small files are not kept in the cache, but beside", async () => {
  writeFileSync(shard, Buffer.alloc(2 ** 22 - 1))
  expect(await keepSampleIndex(shard, content("kept"))).toBe(null)
  expect(readdirSync(folder)).toEqual(["0.tar"])
  await writeIndexBeside(shard, content("beside"))
  expect(factsFound()).toBe("beside")
})

test("a cache that cannot be written says why", async () => {
  writeFileSync(join(folder, "cache"), "a file in its place")
  expect(await keepSampleIndex(shard, content("kept"))).toMatch(/cache/)
  expect(factsFound()).toBe(null)
})

test("those that were not used for longest give way, and other files of the folder stay", async () => {
  const paths = ["a", "b", "c"].map((name) => join(folder, `${name}.tar`))
  for (const [i, path] of paths.entries()) {
    writeFileSync(path, Buffer.alloc(2 ** 22))
    await keepSampleIndex(path, content("kept", path))
    utimesSync(indexInCache(path, "tar"), i + 1, i + 1)
  }
  // The oldest is used again.
  expect(factsFound(paths[0])).toBe("kept")
  writeFileSync(join(indexCacheFolder(), "mine.index"), Buffer.alloc(5000))
  mkdirSync(join(indexCacheFolder(), "0".repeat(64)))
  await trimIndexCache(2 * statSync(indexInCache(paths[0]!, "tar")).size)
  expect(paths.map((path) => factsFound(path))).toEqual(["kept", null, "kept"])
  expect(readdirSync(indexCacheFolder())).toContain("mine.index")
})

test("trimming a cache that is not there does nothing", async () => {
  await trimIndexCache()
  expect(readdirSync(folder)).toEqual(["0.tar"])
})
