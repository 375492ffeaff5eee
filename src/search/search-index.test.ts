import { chmodSync, cpSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { brute, count, dim, dot, pictures, rowsOf, SmallIndex, stored, textTerm } from "../../test/small-index.ts"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { exportModel } from "../export/export.ts"
import { SearchIndex } from "./search-index.ts"
import { IndexWriter } from "./store/index-writer.ts"

let small: SmallIndex
beforeAll(async () => {
  small = await SmallIndex.make()
})
afterAll(() => small[Symbol.dispose]())

test("ranks and cosines are those of float64: a text, terms with weights, a picture of the index", async () => {
  await using index = await SearchIndex.open(small.path)
  const [red, dog] = [await small.textVector("red car"), await small.textVector("dog")]
  const page = await index.search({ terms: [textTerm("red car")], limit: count, words: 0 })
  expect(rowsOf(page)).toEqual(brute(red))
  // A scan in float32 of 16 products rounds by some 1e-7 in all.
  for (const { cosine, position } of page.hits) expect(cosine).toBeCloseTo(dot(red, stored[position]!), 5)
  const mixed = red.map((value, d) => value - 0.5 * dog[d]!)
  const two = await index.search({ terms: [textTerm("red car"), textTerm("dog", -0.5)], limit: 20, words: 0 })
  expect(rowsOf(two)).toEqual(brute(mixed).slice(0, 20))
  const like = await index.similar(join(pictures, "ab/winter/beach/IMG_4.jpg"), { limit: 20 })
  expect(rowsOf(like)).toEqual(brute(stored[4]!, (n) => n !== 4).slice(0, 20))
})

test("a text that was looked for before needs no model", async () => {
  const path = small.copy()
  await using first = await SearchIndex.open(path)
  const found = rowsOf(await first.search({ terms: [textTerm("kept between runs")] }))
  await first[Symbol.asyncDispose]()
  const writer = await IndexWriter.open(path, "a test")
  writer.store.run("UPDATE generations SET source = '/gone'")
  writer[Symbol.dispose]()
  await using second = await SearchIndex.open(path)
  expect(rowsOf(await second.search({ terms: [textTerm("kept between runs")] }))).toEqual(found)
  await expect(second.search({ terms: [textTerm("never looked for")] })).rejects.toThrow(
    /is of the model \/gone, which cannot/,
  )
})

test("weights that changed, and another model, are refused with the command that migrates", async () => {
  const other = join(small.folder, "other")
  const layers = { layers: 2 }
  await exportModel(tinyModel(layers), tinyInfo, other)
  const path = small.path
  await expect(SearchIndex.open(path, { model: other })).rejects.toMatchObject({
    message: expect.stringMatching(/is another model than the one of the index/),
    hint: expect.stringContaining(`mobileclip index migrate --index ${path} --model ${other}`),
  })
  const renamed = join(small.folder, "renamed")
  cpSync(small.model, renamed, { recursive: true })
  await using same = await SearchIndex.open(path, { model: renamed })
  expect((await same.search({ terms: [textTerm("by the renamed one")] })).hits.length).toBe(20)
})

test("duplicates are those of a brute force; their best has most pixels, and no chain joins groups", async () => {
  await using index = await SearchIndex.open(small.path)
  const threshold = 0.7
  const told: [number, number][] = []
  const { groups } = await index.duplicates({ threshold, onProgress: (...at) => told.push(at) })
  expect([new Set(told.map(([, total]) => total)), told.at(-1)]).toEqual([new Set([count]), [count, count]])
  const better = (x: number, y: number) => {
    const pixels = (n: number) => (n % 3 === 1 ? 40_000 : 60_000)
    return pixels(y) - pixels(x) || y - x
  }
  const left = new Set([...stored.keys()].sort(better))
  const expected: number[][] = []
  for (const best of left) {
    const near = [...left].filter((n) => n !== best && dot(stored[best]!, stored[n]!) >= threshold)
    for (const n of near) left.delete(n)
    if (near.length > 0) expected.push([best, ...near.sort((x, y) => x - y)])
  }
  const found = groups.map(({ best, others }) => [
    best.position,
    ...others.map((o) => o.position).sort((x, y) => x - y),
  ])
  const sorted = (all: number[][]) => all.sort((x, y) => x[0]! - y[0]!)
  expect(expected.length).toBeGreaterThan(3)
  expect(sorted(found)).toEqual(sorted(expected))
})

test("describe and hasFile", async () => {
  await using index = await SearchIndex.open(small.path)
  expect(index.describe()).toMatchObject({
    ...{ pictures: count, files: count, model: "tiny", dim, roots: [pictures] },
    taken: { first: "2011-06-01T10:00:00", last: "2019-06-01T10:00:00" },
    cameras: [{ name: "Google Pixel 7", pictures: count / 2 }],
  })
  expect(index.hasFile(join(pictures, "ab/winter/beach/IMG_4.jpg"))).toBe(true)
  expect(index.hasFile(join(pictures, "ab/winter/beach/IMG_400.jpg"))).toBe(false)
})

test("an index without pictures, and a read-only folder", async () => {
  const empty = await small.empty(join(small.folder, "empty"))
  empty[Symbol.dispose]()
  await using none = await SearchIndex.open(join(small.folder, "empty"))
  expect((await none.search({ terms: [textTerm("a")] })).hits).toEqual([])
  const path = small.copy()
  chmodSync(path, 0o555)
  await using index = await SearchIndex.open(path)
  expect((await index.search({ terms: [textTerm("a")] })).hits.length).toBe(20)
  chmodSync(path, 0o755)
})
