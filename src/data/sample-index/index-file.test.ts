import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import {
  type FileStamp,
  openSampleIndex,
  type SampleIndex,
  sampleIndexOf,
  stampOf,
  writeSampleIndex,
} from "./index-file.ts"

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sample-index-"))
  path = join(folder, "a.tar.index")
})
afterEach(() => rmSync(folder, { recursive: true }))

const stamp: FileStamp = { bytes: 1000, mtime: "1700000000123456789" }
const facts = { columns: ["url", "é"], problems: [] }

function write(pieces: readonly (readonly number[])[], parts = 0, given: unknown = facts): Promise<void> {
  const table = pieces.map((piece) => Float64Array.from(piece))
  return writeSampleIndex(path, table, () => ({ format: "tar", file: stamp, parts, facts: given }))
}

function allExtents(index: SampleIndex): [number, number][][] {
  return Array.from({ length: index.count }, (_, i) => index.extents(i).map(({ start, end }) => [start, end]))
}

test("samples come back from pieces of any length, with the facts; in memory alike", async () => {
  await write([[0], [], [512, 900], [1000]])
  using index = openSampleIndex(path, "tar", stamp)!
  expect([index.facts, index.withoutFacts().facts]).toEqual([facts, null])
  expect(index.count).toBe(3)
  expect(allExtents(index.withoutFacts())).toEqual(allExtents(index))
  expect(allExtents(index)).toEqual([[[0, 512]], [[512, 900]], [[900, 1000]]])
  const head = { format: "tar", file: stamp, facts }
  expect(allExtents(sampleIndexOf("memory", Float64Array.of(0, 512, 900, 1000), head))).toEqual(allExtents(index))
  expect(readFileSync(path).length).toBeLessThan(300)
})

test("a sample may have several parts", async () => {
  const table = [0, 1, 3, ...[0, 10], ...[20, 30], ...[40, 50]]
  await write([table], 3)
  using index = openSampleIndex(path, "tar", stamp)!
  const expected = [[[0, 10]], [[20, 30], [40, 50]]] // biome-ignore format: pairs
  expect(allExtents(index)).toEqual(expected)
  const head = { format: "tar", file: stamp, facts, parts: 3 }
  expect(allExtents(sampleIndexOf("memory", Float64Array.from(table), head))).toEqual(expected)
})

test("the head is asked for when all of the table was given", async () => {
  let seen = 0
  async function* pieces() {
    for (let i = 0; i <= 100_000; i++) {
      seen++
      yield Float64Array.of(i)
    }
  }
  await writeSampleIndex(path, pieces(), () => ({ format: "csv", file: { ...stamp, bytes: 100_000 }, facts: { seen } }))
  using index = openSampleIndex(path, "csv", { ...stamp, bytes: 100_000 })!
  expect([index.count, index.facts]).toEqual([100_000, { seen: 100_001 }])
  expect(index.extents(77_777)).toEqual([{ start: 77_777, end: 77_778 }])
})

test("positions beyond 4 GiB are exact", async () => {
  const large = { ...stamp, bytes: 2 ** 48 - 1 }
  await writeSampleIndex(path, [Float64Array.of(2 ** 40 + 1, 2 ** 48 - 1)], () => ({
    format: "tar",
    file: large,
    facts,
  }))
  using index = openSampleIndex(path, "tar", large)!
  expect(index.extents(0)).toEqual([{ start: 2 ** 40 + 1, end: 2 ** 48 - 1 }])
})

test("an index of another format, size or time does not count", async () => {
  await write([[0, 1000]])
  expect(openSampleIndex(path, "csv", stamp)).toBe(null)
  expect(openSampleIndex(path, "tar", { ...stamp, bytes: 1001 })).toBe(null)
  expect(openSampleIndex(path, "tar", { ...stamp, mtime: "1700000000123456788" })).toBe(null)
  expect(openSampleIndex(join(folder, "none"), "tar", stamp)).toBe(null)
  expect(openSampleIndex(folder, "tar", stamp)).toBe(null)
})

test("an index that is cut anywhere, is longer, or whose head is damaged anywhere does not count", async () => {
  await write([[0, 512, 1000]])
  const bytes = readFileSync(path)
  const table = [8, 32] as const
  for (let i = 0; i < bytes.length; i++) {
    writeFileSync(path, bytes.subarray(0, i))
    expect(openSampleIndex(path, "tar", stamp), `${i} bytes`).toBe(null)
    if (i >= table[0] && i < table[1]) continue
    const damaged = Buffer.from(bytes)
    damaged[i]! ^= 1
    writeFileSync(path, damaged)
    expect(openSampleIndex(path, "tar", stamp), `byte ${i}`).toBe(null)
  }
  for (const odd of [Buffer.concat([bytes, Buffer.alloc(1)]), Buffer.concat([bytes, bytes]), Buffer.alloc(4096)]) {
    writeFileSync(path, odd)
    expect(openSampleIndex(path, "tar", stamp)).toBe(null)
  }
})

test.each([
  ["beyond the file", [0, 1001]],
  ["far beyond it", [0, 2 ** 48 - 1]],
  ["backwards", [512, 0]],
])("a damaged table is an error that says what to do: %s", async (_, table) => {
  await write([table])
  using index = openSampleIndex(path, "tar", stamp)!
  expect(() => index.extents(0)).toThrow(`${path} is a damaged index`)
})

test.each([
  ["more parts than there are", [0, 2]],
  ["none", [0, 0]],
  ["backwards", [1, 0]],
  ["2^40 of them", [0, 2 ** 40]],
])("damaged numbers of parts are an error: %s", async (_, ordinals) => {
  await write([[...ordinals, 0, 10]], 1)
  using index = openSampleIndex(path, "tar", stamp)!
  expect(() => index.extents(0)).toThrow("is a damaged index")
})

test("no bit of the table can change, and no position stand at another place, without an error", async () => {
  // Positions that are all within the file, and multiples of the blocks of a tar.
  const large = { ...stamp, bytes: 2 ** 40 }
  const starts = Float64Array.from({ length: 200 }, (_, i) => 512 * i)
  await writeSampleIndex(path, [starts], () => ({ format: "tar", file: large, facts }))
  const bytes = readFileSync(path)
  const places = [8, 8 + 8 * 99, 8 + 8 * 199]
  const damaged = places.flatMap((at) =>
    Array.from({ length: 64 }, (_, bit) => {
      const copy = Buffer.from(bytes)
      copy[at + (bit >> 3)]! ^= 1 << (bit & 7)
      return { copy, sample: Math.min((at - 8) / 8, 198) }
    }),
  )
  const moved = Buffer.from(bytes)
  bytes.copy(moved, 8 + 8 * 50, 8 + 8 * 51, 8 + 8 * 52)
  for (const { copy, sample } of [...damaged, { copy: moved, sample: 50 }]) {
    writeFileSync(path, copy)
    using index = openSampleIndex(path, "tar", large)!
    expect(() => index.extents(sample)).toThrow(`${path} is a damaged index`)
  }
})

test("an index of no samples, or of more than the file has bytes, does not count", async () => {
  for (const table of [[1000], Array.from({ length: 1002 }, () => 0)]) {
    await write([table])
    expect(openSampleIndex(path, "tar", stamp)).toBe(null)
  }
  await write([[0, 501, ...Array.from({ length: 1002 }, () => 0)]], 501)
  expect(openSampleIndex(path, "tar", stamp)).not.toBe(null)
  await write([[0, 1001, ...Array.from({ length: 2002 }, () => 0)]], 1001)
  expect(openSampleIndex(path, "tar", stamp)).toBe(null)
})

test("a sample of very many parts takes bounded memory", async () => {
  const many = { ...stamp, bytes: 2 ** 20 }
  const table = Float64Array.from({ length: 2 ** 21 + 2 }, (_, i) => (i === 1 ? 2 ** 20 : 0))
  await writeSampleIndex(path, [table], () => ({ format: "tar", file: many, parts: 2 ** 20, facts }))
  using index = openSampleIndex(path, "tar", many)!
  expect(index.extents(0).length).toBe(2 ** 15)
})

test("one that is cut while it is in use is an error", async () => {
  await write([[0, 512, 1000]])
  using index = openSampleIndex(path, "tar", stamp)!
  truncateSync(path, 20)
  expect(() => index.extents(1)).toThrow(`${path} was cut while it was in use`)
})

test("nothing is left of one whose table or head fails, and facts have a bound", async () => {
  const failing = (function* () {
    yield Float64Array.of(0)
    throw new Error("the disk failed")
  })()
  const head = () => ({ format: "tar", file: stamp, facts })
  await expect(writeSampleIndex(path, failing, head)).rejects.toThrow("the disk failed")
  await expect(write([[0, 1]], 0, "a".repeat(2 ** 22))).rejects.toThrow("more than 4194304")
  expect(readdirSync(folder)).toEqual([])
})

test("a stamp tells times that differ by less than a millisecond", () => {
  writeFileSync(path, "12345")
  utimesSync(path, 1_700_000_000.000_25, 1_700_000_000.000_25)
  const { bytes, mtime } = stampOf(path)
  expect([bytes, mtime]).toEqual([5, String(statSync(path, { bigint: true }).mtimeNs)])
  expect(mtime).toMatch(/^170000000000024|^170000000000025/)
})
