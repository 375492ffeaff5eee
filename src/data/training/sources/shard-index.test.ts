/** Samples by an index equal the members that the archive has, also where it is irregular, and whatever keeps the index. */
import { appendFile, mkdir, readdir, readFile, rm, truncate, utimes, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { paxField, tarEnd, tarEntry } from "../../../../test/hostile.ts"
import { pictureSamples, temporaryFolder, trainingConfig, writeSamples } from "../../../../test/training-samples.ts"
import { openRandomAccess } from "../../../host/files/files.ts"
import type { Problem, ReinforcedSample } from "../../reinforced/sample.ts"
import { stampOf, writeSampleIndex } from "../../sample-index/index-file.ts"
import { indexBeside, indexCacheFolder } from "../../sample-index/index-places.ts"
import { IndexPool } from "../../sample-index/index-pool.ts"
import { indexShards } from "../../sample-index/index-shards.ts"
import { readTarSample } from "../rows/tar-sample.ts"
import { openTrainingData } from "../training-data.ts"
import { mostOpen, OpenIndexes } from "./open-indexes.ts"
import { indexShard } from "./shard-index.ts"

let folder: string
beforeEach(async () => {
  folder = await temporaryFolder()
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

interface Opened {
  /** Key and wanted members of each sample. */
  readonly samples: readonly (readonly [string, Readonly<Record<string, string>>])[]
  readonly problems: readonly Problem[]
  readonly made: readonly (string | null)[]
}

/** @param mostBytes what a sample may have, beside what little lies around it */
async function open(path: string, { isSparing = false, mostBytes = 0 } = {}): Promise<Opened> {
  const problems: Problem[] = []
  const made: (string | null)[] = []
  using indexes = new OpenIndexes()
  await using pool = new IndexPool(1)
  const shard = await indexShard(path, path, {
    ...{ extensions: ["jpg", "txt"], indexes, pool, temporaryPath: async () => join(folder, "unpacked") },
    report: (_, problem) => problems.push(problem),
    onMade: (reason) => made.push(reason),
  })
  using file = openRandomAccess(path)
  const samples = Array.from({ length: shard.count }, (_, i) => {
    const location = shard.location(i)
    if (location.kind !== "tar") throw new Error("a tar was expected")
    expect(location.extents.reduce((sum, { start, end }) => sum + end - start, 0)).toBeLessThan(
      2 ** 16 + 2 ** 13 + mostBytes,
    )
    const keys: string[] = []
    const { key, members } = readTarSample(file, location, { isSparing, onKey: (known) => keys.push(known) })
    expect(keys).toEqual([key])
    const texts = [...members].map(([extension, bytes]) => [extension, Buffer.from(bytes).toString()] as const)
    return [key, Object.fromEntries(texts)] as const
  })
  return { samples, problems, made }
}

/** @param filler bytes of a last sample, so that the index is kept in the cache */
async function writeTar(name: string, entries: readonly Uint8Array[], filler = 0): Promise<string> {
  const path = join(folder, name)
  const last = filler > 0 ? [tarEntry("zz.jpg", "f".repeat(filler)), tarEntry("zz.txt", "last")] : []
  await writeFile(path, Buffer.concat([...entries, ...last, tarEnd]))
  return path
}

const pair = (key: string) => [tarEntry(`${key}.jpg`, `picture of ${key}`), tarEntry(`${key}.txt`, key)]
const expected = (key: string) => [key, { jpg: `picture of ${key}`, txt: key }] as const

test.each<[string, Uint8Array[], readonly (readonly [string, object])[], readonly RegExp[]]>([
  ["side by side", [...pair("a"), ...pair("b")], [expected("a"), expected("b")], []],
  [
    "folders, hidden files and files without extension between",
    [tarEntry("d/", "", "5"), ...pair("d/a"), tarEntry(".hid.txt", "x"), tarEntry("README", "x"), ...pair("b")],
    [expected("d/a"), expected("b")],
    [],
  ],
  [
    "long names",
    [
      tarEntry("p", paxField("path", "long/name.jpg"), "x"),
      tarEntry("z", "picture of long/name"),
      tarEntry("long/name.txt", "long/name"),
      ...pair("b"),
    ],
    [expected("long/name"), expected("b")],
    [],
  ],
  [
    "scattered",
    [pair("a")[0]!, pair("b")[0]!, pair("a")[1]!, pair("b")[1]!],
    [expected("a"), expected("b")],
    [/^members of 2 of 2 samples/],
  ],
  [
    "scattered, with one in between that is left out",
    [pair("a")[0]!, tarEntry("x.y.jpg", "dotted"), pair("a")[1]!, ...pair("b")],
    [expected("a"), expected("b")],
    [/^members of 1 of 3 samples/, /^the key has a dot/],
  ],
  [
    "a sample that is left out between others",
    [...pair("a"), tarEntry("x.y.jpg", "dotted"), ...pair("b")],
    [expected("a"), expected("b")],
    [/^the key has a dot/],
  ],
  [
    "much between samples that is none",
    [
      ...pair("a"),
      ...Array.from({ length: 200 }, () => tarEntry("d/", "", "5")),
      pair("b")[0]!,
      Buffer.alloc(2 ** 17),
      pair("b")[1]!,
      ...pair("c"),
    ],
    [expected("a"), expected("b"), expected("c")],
    [],
  ],
  [
    "a member twice",
    [...pair("a"), tarEntry("a.TXT", "again"), ...pair("b"), tarEntry("b.txt", "again")],
    [expected("a"), expected("b")],
    [/a\.TXT came before/, /b\.txt came before/],
  ],
  [
    "a name for the whole archive",
    [
      tarEntry("p", paxField("path", "g.txt"), "g"),
      tarEntry("p", paxField("mtime", "1"), "x"),
      tarEntry("z", "named"),
      ...pair("b"),
    ],
    [["g", { txt: "named" }], expected("b")],
    [],
  ],
  [
    "other members",
    [tarEntry("a.npz", "n".repeat(3000)), ...pair("a"), tarEntry("a.cls", "7"), ...pair("b")],
    [expected("a"), expected("b")],
    [],
  ],
  [
    "a key that ends as another begins",
    [...pair("a"), ...pair("aa"), ...pair("a/a")],
    [expected("a"), expected("aa"), expected("a/a")],
    [],
  ],
])("%s", async (_, entries, samples, reasons) => {
  const path = await writeTar("0.tar", entries)
  const first = await open(path)
  expect(first.samples).toEqual(samples)
  expect(first.problems.map(({ reason }) => reason)).toEqual(reasons.map((reason) => expect.stringMatching(reason)))
  expect((await open(path, { isSparing: true })).samples).toEqual(samples)
  // The same from a file, which tells the problems again.
  await indexShards({ sources: path })
  expect(await readdir(folder)).toContain("0.tar.index")
  expect(await open(path)).toEqual({ ...first, made: [] })
})

test("an archive that is cut gives what is whole, also where only the zeros of the last block are missing", async () => {
  const whole = Buffer.concat([...pair("a"), ...pair("b"), ...pair("c")])
  const path = join(folder, "0.tar")
  for (const [bytes, keys] of [
    [whole.length, ["a", "b", "c"]],
    [whole.length - 511, ["a", "b", "c"]],
    [whole.length - 512, ["a", "b"]],
    [whole.length - 1024, ["a", "b"]],
    [whole.length - 1500, ["a", "b"]],
  ] as const) {
    await writeFile(path, whole.subarray(0, bytes))
    const { samples, problems } = await open(path)
    expect(samples, `${bytes} bytes`).toEqual(keys.map(expected))
    expect(problems.length).toBe(1)
    await indexShards({ sources: path })
    expect(await open(path)).toEqual({ samples, problems, made: [] })
    await rm(indexBeside(path))
  }
})

test("a large file's index is kept in the cache, and made again when the file or the index changes", async () => {
  const path = await writeTar("0.tar", [...pair("a"), ...pair("b")], 2 ** 22)
  const large = { mostBytes: 2 ** 22 }
  const first = await open(path, large)
  expect([first.samples.length, first.made]).toEqual([3, [null]])
  expect(await open(path, large)).toEqual({ ...first, made: [] })
  await utimes(path, 5, 5)
  expect(await open(path, large)).toEqual(first)
  const [name] = await readdir(indexCacheFolder())
  const kept = join(indexCacheFolder(), name!)
  await writeFile(kept, (await readFile(kept)).subarray(0, -1))
  expect(await open(path, large)).toEqual(first)
  await appendFile(path, Buffer.concat([...pair("c"), tarEnd]))
  expect((await open(path, large)).samples).toEqual([...first.samples, expected("c")])
})

test("where the cache cannot be written it goes without, and says why", async () => {
  await writeFile(join(folder, "cache"), "a file")
  const path = await writeTar("0.tar", pair("a"), 2 ** 22)
  const { samples, made } = await open(path, { mostBytes: 2 ** 22 })
  expect([samples.length, made]).toEqual([2, [expect.stringContaining("cache")]])
})

test("an index that goes away while it is in use is made again", async () => {
  const paths = [await writeTar("0.tar", pair("a"), 2 ** 22), await writeTar("1.tar", pair("b"), 2 ** 22)]
  using indexes = new OpenIndexes(1)
  await using pool = new IndexPool(1)
  const options = {
    ...{ extensions: ["txt"], indexes, pool },
    ...{ temporaryPath: async () => "", report: () => {}, onMade: () => {} },
  }
  const shards = [await indexShard(paths[0]!, "0", options), await indexShard(paths[1]!, "1", options)]
  const before = shards.map((shard) => shard.location(1))
  for (const name of await readdir(indexCacheFolder())) await rm(join(indexCacheFolder(), name))
  expect(shards.map((shard) => shard.location(1))).toEqual(before)
  await utimes(paths[0]!, 5, 5)
  shards[1]!.close()
  using others = new OpenIndexes(1)
  const shard = await indexShard(paths[0]!, "0", { ...options, indexes: others })
  await indexShard(paths[1]!, "1", { ...options, indexes: others })
  await utimes(paths[0]!, 6, 6)
  await rm(indexCacheFolder(), { recursive: true })
  expect(() => shard.location(0)).toThrow(`${paths[0]} was changed while it is in use`)
})

test("a hostile index leads nowhere else", async () => {
  const path = await writeTar("0.tar", [...pair("a"), ...pair("b")])
  for (const [starts, message] of [
    [[512, 1024, 2048], "no tar archive is there"],
    [[3, 1024, 2048], "no tar archive is there"],
    [[4096, 4096, 4608], "no sample is there"],
    [[0, 520, 2048], "is cut short"],
  ] as const) {
    await writeHostile(path, starts)
    await expect(open(path), message).rejects.toThrow(message)
  }
})

async function writeHostile(path: string, starts: readonly number[]): Promise<void> {
  const head = { format: "tar", file: stampOf(path), facts: { problems: [] } }
  await writeSampleIndex(indexBeside(path), [Float64Array.from(starts)], () => head)
}

test.each([
  ["that is damaged", async (path: string) => await flipBit(indexBeside(path), 8 + 8 + 2)],
  ["with positions outside of the shard", (path: string) => writeHostile(path, [0, 2 ** 40, 2048])],
])("an index %s is made again, and nothing else is read in its place", async (_, damage) => {
  const path = await writeTar("0.tar", [...pair("a"), ...pair("b")])
  await indexShards({ sources: path })
  await damage(path)
  expect((await open(path)).samples).toEqual([expected("a"), expected("b")])
  expect(await readdir(folder)).toEqual(["0.tar"])
})

async function flipBit(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  bytes[at]! ^= 2
  await writeFile(path, bytes)
}

test.each([
  ["damaged", (path: string) => flipBit(path, 10)],
  ["cut", (path: string) => truncate(path, 8)],
])("an index that is %s while it is in use is not needed", async (_, damage) => {
  const path = await writeTar("0.tar", [...pair("a"), ...pair("b")])
  await indexShards({ sources: path })
  using indexes = new OpenIndexes()
  await using pool = new IndexPool(1)
  const options = { extensions: [], pool, temporaryPath: async () => "", report: () => {}, onMade: () => {} }
  const shard = await indexShard(path, path, { ...options, indexes })
  const before = shard.location(0)
  await damage(indexBeside(path))
  expect([shard.location(0), shard.location(1)]).toEqual([before, expect.anything()])
})

test("indexes leave most of the files that a system allows to others", () => {
  expect([64, 256, 1024, 4096, 2 ** 20].map((limit) => mostOpen(limit))).toEqual([8, 32, 128, 896, 4096])
})

test("an index of other samples in the place of the one in use is an error", async () => {
  const paths = await Promise.all(["0.tar", "1.tar"].map((name) => writeTar(name, [...pair("a"), ...pair("b")])))
  await indexShards({ sources: paths })
  using indexes = new OpenIndexes(1)
  await using pool = new IndexPool(1)
  const options = { extensions: [], pool, temporaryPath: async () => "", report: () => {}, onMade: () => {} }
  const shard = await indexShard(paths[0]!, "0", { ...options, indexes })
  await indexShard(paths[1]!, "1", { ...options, indexes })
  await writeHostile(paths[0]!, [0, 2048])
  expect(() => shard.location(1)).toThrow(`${paths[0]} was changed while it is in use`)
})

test("lines with much that is blank after them, and long ones", async () => {
  const [first, second]: ReinforcedSample[] = await pictureSamples(2)
  const path = await writeSamples(join(folder, "0.jsonl"), [first!, second!], "jsonl")
  const [one, two] = (await readFile(path, "utf8")).trimEnd().split("\n") as [string, string]
  const long = two.replace("{", `{"x":"${"a".repeat(5 * 2 ** 20)}",`)
  const source = join(folder, "1.jsonl")
  await writeFile(source, [one, " ".repeat(6 * 2 ** 20), long, one.replace("s0", "s2"), ""].join("\r\n"))
  const { samples, reasons } = await batchesOf(source, { batchSize: 2 })
  expect([samples, reasons]).toEqual([3, []])
})

async function batchesOf(source: string, changes: Parameters<typeof trainingConfig>[1] = {}) {
  const data = await openTrainingData(trainingConfig(source, { maxBadSamples: 10, ...changes }))
  try {
    const batches: string[] = []
    for await (const batch of data.batches(0)) {
      batches.push(Buffer.from(batch.images).toString("base64"))
      if (batches.length === 6) break
    }
    return {
      batches,
      identity: data.identity,
      samples: data.samples,
      reasons: [...data.bad.reasons],
      notes: data.notes,
    }
  } finally {
    await data.close()
  }
}

test("batches, identity and what is reported are the same with and without index files, in one rank and several", async () => {
  await mkdir(join(folder, "s"))
  const samples: ReinforcedSample[] = await pictureSamples(9)
  const entries = samples.map(({ key, image }) => [tarEntry(`${key}.jpg`, image!.bytes), tarEntry(`${key}.txt`, key)])
  for (let i = 0; i < 3; i++) {
    const own = entries.slice(3 * i, 3 * i + 3).flat()
    await writeFile(join(folder, "s", `${i}.tar`), Buffer.concat(i === 2 ? own.slice(0, -1) : [...own, tarEnd]))
  }
  const source = join(folder, "s")
  const without = await batchesOf(source)
  await indexShards({ sources: source })
  expect(await readdir(source)).toHaveLength(6)
  expect(await batchesOf(source)).toEqual(without)
  expect(without).toMatchObject({ samples: 8, notes: [] })
  const second = { rank: 1, ranks: 2 }
  const drawn = await batchesOf(source, { ...second, resampled: true })
  const ranked = await batchesOf(source, second)
  await rm(join(source, "0.tar.index"))
  expect(await batchesOf(source, { ...second, resampled: true })).toEqual(drawn)
  expect(await batchesOf(source, second)).toEqual(ranked)
})
