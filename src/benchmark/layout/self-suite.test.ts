import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { decodeImage } from "../../host/image/images.ts"
import type { BenchmarkSample } from "./benchmark-dataset.ts"
import { openDataset } from "./open-dataset.ts"
import { makeSelfSuite, selfSuite } from "./self-suite.ts"

let folder: string
let root: string
const options = { seed: 3, size: 48 }

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "self-suite-"))
  root = await makeSelfSuite(join(folder, "suite"), options)
})
afterAll(() => rmSync(folder, { recursive: true }))

function filesIn(path: string): Record<string, string> {
  const names = (readdirSync(path, { recursive: true, encoding: "utf8" }) as string[]).sort()
  const files = names.filter((name) => statSync(join(path, name)).isFile())
  return Object.fromEntries(
    files.map((name) => [
      name,
      createHash("sha1")
        .update(readFileSync(join(path, name)))
        .digest("hex"),
    ]),
  )
}

async function samplesOf(key: string): Promise<{ samples: BenchmarkSample[]; notes: readonly string[] }> {
  const dataset = await openDataset(root, selfSuite.find((row) => row.key === key)!)
  const samples: BenchmarkSample[] = []
  for await (const sample of dataset.samples()) samples.push(sample)
  return { samples, notes: dataset.notes }
}

test("every row opens, as its kind and without a note, and its pictures decode", async () => {
  const counts: Record<string, number> = {}
  for (const { key, kind, classes } of selfSuite) {
    const dataset = await openDataset(root, key)
    expect([dataset.kind, dataset.classNames?.length ?? null]).toEqual([kind, classes])
    const { samples, notes } = await samplesOf(key)
    expect(notes).toEqual([])
    counts[key] = samples.length
    expect((await decodeImage(samples.at(-1)!.images[0]!)).width).toBeGreaterThan(90)
  }
  expect(counts).toEqual({
    ...{ "self/shape": 48, "self/colour": 48, "self/pattern": 48, "self/count": 48, "self/shape-by-size": 48 },
    ...{ "self/retrieval": 48, "self/relation": 48, "self/association": 12 },
  })
})

test("classes are balanced; groups, captions and choices are what their kinds need", async () => {
  const labels = (await samplesOf("self/pattern")).samples.map(({ label }) => label!)
  expect([0, 1, 2, 3].map((label) => labels.filter((each) => each === label).length)).toEqual([12, 12, 12, 12])
  const bySize = (await samplesOf("self/shape-by-size")).samples
  expect(new Set(bySize.map(({ metadata }) => metadata![0]))).toEqual(new Set([0, 1, 2]))
  for (const { texts } of (await samplesOf("self/retrieval")).samples) expect(texts.length).toBe(2)
  for (const { texts } of (await samplesOf("self/relation")).samples) {
    expect(texts.length).toBe(2)
    expect(texts[0]).not.toBe(texts[1])
  }
  const associations = (await samplesOf("self/association")).samples
  expect(associations.slice(0, 4).map(({ images }) => images.length)).toEqual([5, 6, 10, 12])
  for (const { associations: right } of associations) {
    expect(right!.filter(Boolean).length).toBeGreaterThanOrEqual(2)
    expect(right!.filter(Boolean).length).toBeLessThan(right!.length)
  }
})

test("the same seed gives the same bytes; what is there is not made again, and another seed replaces it", async () => {
  const again = join(folder, "again")
  await makeSelfSuite(again, options)
  const files = filesIn(root)
  expect(filesIn(again)).toEqual(files)
  const { mtimeMs } = statSync(again)
  await makeSelfSuite(again, options)
  expect(statSync(again).mtimeMs).toBe(mtimeMs)
  await makeSelfSuite(again, { ...options, seed: 4 })
  const other = filesIn(again)
  expect(Object.keys(other)).toEqual(Object.keys(files))
  expect(other["self/shape/test/0.tar"]).not.toBe(files["self/shape/test/0.tar"])
  writeFileSync(join(again, "mine.txt"), "mine")
  await expect(makeSelfSuite(again, options)).rejects.toThrow("has other content (mine.txt) and is not replaced")
})

test("an abort leaves nothing, and a size that shapes do not fill is refused", async () => {
  const path = join(folder, "none")
  const signal = AbortSignal.abort(new Error("enough"))
  await expect(makeSelfSuite(path, { ...options, signal })).rejects.toThrow("enough")
  expect(existsSync(path)).toBe(false)
  await expect(makeSelfSuite(path, { size: 47 })).rejects.toThrow(
    "size is 47, expected a whole number from 48 to 20000",
  )
})

test("what was damaged or removed since is made again; a list that is none belongs to somebody else", async () => {
  const place = await makeSelfSuite(join(folder, "damaged"), options)
  const files = filesIn(place)
  const shard = join(place, "self/colour/test/0.tar")
  const spoil = [
    () => rmSync(shard),
    () => writeFileSync(shard, readFileSync(shard).fill(7, 5000, 5010)),
    () => writeFileSync(join(place, "self/shape/classnames.txt"), "cat\n"),
  ]
  for (const damage of spoil) {
    damage()
    await makeSelfSuite(place, options)
    expect(filesIn(place)).toEqual(files)
  }
  for (const list of [5, [5], ["../damaged/self"]]) {
    const marker = { ...JSON.parse(readFileSync(join(place, "self-suite.json"), "utf8")), files: list }
    writeFileSync(join(place, "self-suite.json"), JSON.stringify(marker))
    await expect(makeSelfSuite(place, options)).rejects.toThrow(`${place} has other content`)
  }
})
