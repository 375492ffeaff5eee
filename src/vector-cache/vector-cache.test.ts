import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { VectorCache } from "./vector-cache.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vector-cache-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

async function store(cache: VectorCache, key: string, ...parts: readonly (readonly number[])[]) {
  const writer = await cache.writer([key], 2)
  for (const part of parts) await writer.write(Float32Array.from(part))
  await writer.commit()
}

const rowsOf = async (cache: VectorCache, key: string, width = 2) => {
  await using file = await cache.vectors([key], width)
  return file && [file.rows, ...(await file.all())]
}

test("rows come back as they were written; another key or width finds nothing", async () => {
  const cache = new VectorCache(folder)
  await store(cache, "a", [1, 2, 3, 4], [], [5, 6])
  await store(cache, "none")
  expect(await rowsOf(cache, "a")).toEqual([3, 1, 2, 3, 4, 5, 6])
  expect(await rowsOf(cache, "none")).toEqual([0])
  expect(await rowsOf(cache, "b")).toBe(null)
  const large = Float32Array.from({ length: 3_000_000 }, (_, i) => i)
  const writer = await cache.writer(["large"], 3)
  await writer.write(large)
  await writer.commit()
  await using file = await cache.vectors(["large"], 3)
  expect(Buffer.from((await file!.all()).buffer).equals(Buffer.from(large.buffer))).toBe(true)
  expect(await rowsOf(cache, "a", 3)).toBe(null)
})

test("every damaged byte is found, as is every missing one, and the file is removed", async () => {
  const cache = new VectorCache(folder)
  await store(cache, "a", [1, 2, 3, 4])
  const [name] = readdirSync(folder)
  const path = join(folder, name!)
  const bytes = readFileSync(path)
  for (let i = 0; i < bytes.length; i++) {
    const damaged = Buffer.from(bytes)
    damaged[i]! ^= 1
    writeFileSync(path, damaged)
    expect(await rowsOf(cache, "a"), `byte ${i}`).toBe(null)
    expect(readdirSync(folder)).toEqual([])
    writeFileSync(path, bytes.subarray(0, i))
    expect(await rowsOf(cache, "a"), `${i} bytes`).toBe(null)
  }
})

test("values that are not numbers are not used, whatever the digest says", async () => {
  const cache = new VectorCache(folder)
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    await store(cache, "a", [1, 2, 3, 4])
    const path = join(folder, readdirSync(folder)[0]!)
    const body = readFileSync(path).subarray(0, -32)
    body.writeFloatLE(value, body.length - 4)
    writeFileSync(path, Buffer.concat([body, createHash("sha256").update(body).digest()]))
    expect(await rowsOf(cache, "a")).toBe(null)
    expect(readdirSync(folder)).toEqual([])
  }
})

test.skipIf(process.platform === "win32")("a pipe in the place of a file does not hold the work up", async () => {
  const cache = new VectorCache(folder)
  await store(cache, "a", [1, 2])
  await cache.storeRecords(["a"], [{}])
  for (const name of readdirSync(folder)) {
    rmSync(join(folder, name))
    execFileSync("mkfifo", [join(folder, name)])
  }
  expect([await rowsOf(cache, "a"), await cache.records(["a"])]).toEqual([null, null])
  await store(cache, "a", [3, 4])
  expect(await rowsOf(cache, "a")).toEqual([1, 3, 4])
})

test("a file that another process removes to make room is read to its end", async () => {
  await store(new VectorCache(folder), "a", [1, 2, 3, 4])
  await using file = await new VectorCache(folder).vectors(["a"], 2)
  rmSync(join(folder, readdirSync(folder)[0]!))
  expect(await file!.all()).toEqual(Float32Array.of(1, 2, 3, 4))
})

test("records: whole, or not there", async () => {
  const cache = new VectorCache(folder)
  const records = [{ key: "a", texts: ["x\ny", "ü"] }, { key: "b" }]
  await cache.storeRecords(["data"], records)
  expect(await cache.records(["data"])).toEqual(records)
  expect(await cache.records(["other"])).toBe(null)
  await cache.storeRecords(["none"], [])
  expect(await cache.records(["none"])).toEqual([])
  const path = join(folder, readdirSync(folder).find((name) => readFileSync(join(folder, name), "utf8").includes("ü"))!)
  const text = readFileSync(path, "utf8")
  for (const damaged of [text.replace("ü", "u"), text.slice(0, -2), text.slice(text.indexOf("\n") + 1), ""]) {
    writeFileSync(path, damaged)
    expect(await cache.records(["data"])).toBe(null)
  }
})

test("an abandoned file leaves nothing; what was not used for longest goes first", async () => {
  const cache = new VectorCache(folder, { mostBytes: 250 })
  const writer = await cache.writer(["half"], 2)
  await writer.write(Float32Array.of(1, 2))
  await writer.abandon()
  expect(readdirSync(folder)).toEqual([])
  for (const [i, key] of ["a", "b", "c"].entries()) {
    await store(cache, key, [i, i])
    const seconds = Date.now() / 1000 - 1000 + i
    for (const name of readdirSync(folder).filter(
      (name) => statSync(join(folder, name)).mtimeMs > Date.now() - 500_000,
    ))
      utimesSync(join(folder, name), seconds, seconds)
  }
  writeFileSync(join(folder, "mine.txt"), "x".repeat(1000))
  await rowsOf(cache, "a")
  await cache.trim()
  expect([await rowsOf(cache, "a"), await rowsOf(cache, "b"), await rowsOf(cache, "c")]).toEqual([
    [1, 0, 0],
    null,
    [1, 2, 2],
  ])
  expect(readdirSync(folder)).toContain("mine.txt")
})

test("where nothing can be written, it says so once and is not used", async () => {
  const notes: string[] = []
  writeFileSync(join(folder, "file"), "")
  const cache = new VectorCache(join(folder, "file", "cache"), { onNote: (line) => notes.push(line) })
  await store(cache, "a", [1, 2])
  await cache.storeRecords(["a"], [{}])
  await cache.trim()
  expect(await rowsOf(cache, "a")).toBe(null)
  expect(notes).toEqual([expect.stringMatching(/^vectors are not kept from here on: /)])
})
