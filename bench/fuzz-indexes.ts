/**
 * Index files, lists of pictures and shards that are read by index, for the fuzzer. Of an index, the whole file is changed, or
 * its head, after which lengths and the checksum are right again. What an index tells of a list or shard must be what a pass says.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { crc32 } from "node:zlib"
import { isInputError, UserError } from "../src/core/errors.ts"
import { atOnce } from "../src/core/turns.ts"
import type { Problem } from "../src/data/reinforced/sample.ts"
import { openSampleIndex, writeSampleIndex } from "../src/data/sample-index/index-file.ts"
import { tablingShard } from "../src/data/sample-index/shard-table.ts"
import { readTarSample } from "../src/data/training/rows/tar-sample.ts"
import { csvKind } from "../src/data/training/sources/csv.ts"
import { openList } from "../src/data/training/sources/lists/indexed-list.ts"
import { memorySource } from "../src/data/training/sources/lists/list-source.ts"
import { jsonlKind } from "../src/data/training/sources/pairs.ts"
import { openRandomAccess } from "../src/host/files/files.ts"
import type { Seed } from "./fuzz-seeds.ts"

// ------------------------------------------------------------------------------------------------- index files

/** What every seed is an index of. */
export const indexed = { format: "fuzzed", file: { bytes: 2 ** 20, mtime: "1700000000123456789" } } as const

const [samples, trailerBytes] = [1000, 16]

export async function indexSeeds(): Promise<Seed[]> {
  const folder = mkdtempSync(join(tmpdir(), "fuzz-indexes-"))
  try {
    const path = join(folder, "seed.index")
    const starts = Float64Array.from({ length: samples + 1 }, (_, i) => 1000 * i)
    const ordinals = Array.from({ length: samples + 1 }, (_, i) => 2 * i)
    const parts = Array.from({ length: 4 * samples }, (_, i) => 250 * i)
    const facts = { columns: ["url", "caption"], problems: [{ key: "a", reason: "no picture", action: "dropped" }] }
    const seeds: Seed[] = []
    for (const [table, number] of [
      [starts, 0],
      [Float64Array.from([...ordinals, ...parts]), 2 * samples],
    ] as const) {
      await writeSampleIndex(path, [table], () => ({ ...indexed, parts: number, facts }))
      seeds.push(...seedsOf(Uint8Array.from(readFileSync(path)), 8 + 8 * table.length))
    }
    return seeds
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** @param head where the head begins */
function seedsOf(bytes: Uint8Array, head: number): Seed[] {
  const end = bytes.length - trailerBytes
  const rebuild = (changed: Uint8Array) => {
    const numbers = Buffer.alloc(8)
    numbers.writeUInt32LE(changed.length, 0)
    numbers.writeUInt32LE(crc32(changed), 4)
    return Buffer.concat([bytes.subarray(0, head), changed, numbers, bytes.subarray(-8)])
  }
  const hot = [[head, bytes.length], [8, head]] as const // biome-ignore format: ranges
  return [
    { bytes, hot, part: { bytes: bytes.subarray(head, end), rebuild } },
    { bytes, hot },
  ]
}

/** Every sample of an index file; null where it does not count. Throws UserError where it is damaged. */
export function readIndex(path: string, sample: () => void): number | null {
  using index = openSampleIndex(path, indexed.format, indexed.file)
  if (!index) return null
  let bytes = 0
  for (let i = 0; i < Math.min(index.count, 2 * samples); i++) {
    for (const { start, end } of index.extents(i)) {
      if (!(start >= 0 && start <= end && end <= indexed.file.bytes)) throw new Error(`from ${start} to ${end}`)
      bytes += end - start
    }
    if (i % 100 === 0) sample()
  }
  return bytes
}

// ------------------------------------------------------------------------------------------------------- lists

const rows = Array.from({ length: 300 }, (_, i) => ({
  image: `folder/${i}.jpg`,
  caption: `a caption, "of" ${i} é\n🦋`,
}))

/** In UTF-8 and UTF-16, with quoted cells of several lines. */
export function csvSeeds(): Seed[] {
  const cell = (text: string) => `"${text.replaceAll('"', '""')}"`
  const text = ["image,caption", ...rows.map(({ image, caption }) => `${image},${cell(caption)}`), ""].join("\n")
  return textSeeds([text, text.replaceAll("\n", "\r\n")])
}

export function jsonListSeeds(): Seed[] {
  return textSeeds([`${rows.map((row) => JSON.stringify(row)).join("\n")}\n`])
}

function textSeeds(texts: readonly string[]): Seed[] {
  const encoded = texts.flatMap((text) => [Buffer.from(text), Buffer.from(`\ufeff${text}`, "utf16le")])
  return encoded.map((bytes) => ({ bytes, hot: [[0, 200], [0, bytes.length]] })) // biome-ignore format: ranges
}

/** Opened in pieces of two lengths: rows read by where they begin must be alike. */
export async function readList(path: string, bytes: Uint8Array, format: "csv" | "jsonl", sample: () => void) {
  const kind = (format === "csv" ? csvKind : jsonlKind)(path, { imageColumn: "image", captionColumn: "caption" })
  const open = (pieces: number) =>
    openList(memorySource(path, { bytes: 0, mtime: "0" }, Buffer.from(bytes), pieces), kind)
  const [whole, cut] = [await open(2 ** 20), await open(1 + (bytes.length % 997))]
  if (whole.count !== cut.count) throw new Error(`${whole.count} rows in one piece, ${cut.count} in several`)
  for (let i = 0; i < whole.count; i++) {
    const [one, other] = [whole, cut].map((list) => JSON.stringify(list.location(i)))
    if (one !== other) throw new Error(`row ${i}: ${one}, ${other}`)
    if (i % 100 === 0) sample()
  }
}

// ------------------------------------------------------------------------------------------------------ shards

/** Every sample that the table tells of, read by itself. Throws UserError where one is damaged, or left out. */
export function readByTable(path: string, sample: () => void): void {
  const file = openRandomAccess(path)
  try {
    const { table, parts, problems: found } = atOnce(tablingShard(file, "tar"))
    const problems: Problem[] = [...found]
    const count = table.length - 1 - 2 * parts
    for (let i = 0; i < count; i++) {
      const [first, next] = [table[i]!, table[i + 1]!]
      const extent = (part: number) => ({ start: table[count + 1 + 2 * part]!, end: table[count + 2 + 2 * part]! })
      const extents =
        parts === 0 ? [{ start: first, end: next }] : Array.from({ length: next - first }, (_, j) => extent(first + j))
      for (const { start, end } of extents) {
        if (!(start >= 0 && start <= end && end <= file.size)) throw new Error(`from ${start} to ${end}`)
      }
      const location = { kind: "tar", path, extents, extensions: ["jpg", "txt", "json"] } as const
      try {
        readTarSample(file, location, { isSparing: i % 2 === 0, onKey: () => {} })
      } catch (error) {
        if (!isInputError(error)) throw error
        problems.push({ key: null, reason: error.message, action: "dropped" })
      }
      sample()
    }
    if (problems.length > 0) throw new UserError(`${path}: ${problems[0]!.reason}`)
  } finally {
    file.close()
  }
}
