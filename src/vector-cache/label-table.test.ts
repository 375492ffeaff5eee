import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { VectorCache, type VectorCacheOptions } from "./vector-cache.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "label-table-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const width = 3
const header = 96
const size = 16 + 4 * width + 16
const templates = ["a {}", "the {}"]

async function open(model = "model", options: VectorCacheOptions = {}) {
  return (await new VectorCache(folder, options).labelStore([model]).open(1, templates, width))!
}

/** Other values for each label. */
function vectorOf(label: string): number[] {
  return Array.from({ length: width }, (_, i) => Math.fround(Math.sin(label.length + i + label.charCodeAt(0))))
}

function vectorsOf(labels: readonly string[]): Float32Array {
  return Float32Array.from(labels.flatMap(vectorOf))
}

async function keep(labels: readonly string[], model?: string) {
  const table = await open(model)
  await table.find(labels, new Float32Array(labels.length * width))
  await table.keep(labels, vectorsOf(labels))
  await table.end()
}

/** The labels that are kept; their values must be those that were kept. */
async function found(labels: readonly string[], model?: string) {
  const vectors = new Float32Array(labels.length * width)
  const missing = new Set(await (await open(model)).find(labels, vectors))
  labels.forEach((label, row) => {
    const expected = missing.has(row) ? Array(width).fill(0) : vectorOf(label)
    expect([...vectors.subarray(row * width, (row + 1) * width)], label).toEqual(expected)
  })
  return labels.filter((_, row) => !missing.has(row))
}

const tablePath = () => {
  const names = readdirSync(folder).filter((name) => name.endsWith(".labels"))
  expect(names).toHaveLength(1)
  return join(folder, names[0]!)
}

test("each label is kept by itself, in whatever list it comes again; other models and templates find nothing", async () => {
  await keep(["cat", "dog", "a red car"])
  expect(await found(["dog", "mouse", "cat", "dog"])).toEqual(["dog", "cat", "dog"])
  await keep(["mouse", "ünï", "\ud800", "\udbff"])
  expect(statSync(tablePath()).size).toBe(header + 7 * size)
  const all = ["\udbff", "\ud800", "ünï", "mouse", "a red car", "dog", "cat"]
  expect(await found(all)).toEqual(all)
  expect(await found(all, "other")).toEqual([])
  const store = new VectorCache(folder).labelStore(["model"])
  for (const [others, otherWidth] of [
    [["a {}"], width],
    [[...templates].reverse(), width],
    [templates, 2],
  ] as const)
    expect(await (await store.open(1, others, otherWidth))!.find(["cat"], new Float32Array(otherWidth))).toEqual([0])
})

test("many labels, over more than one block that is read", async () => {
  const wide = 4096
  const labels = Array.from({ length: 700 }, (_, i) => `label ${i}`)
  const vectors = Float32Array.from({ length: labels.length * wide }, (_, i) => i)
  const table = (await new VectorCache(folder).labelStore(["m"]).open(1, templates, wide))!
  await table.keep(labels, vectors)
  const read = new Float32Array(vectors.length)
  expect(await table.find(labels, read)).toEqual([])
  expect(Buffer.from(read.buffer).equals(Buffer.from(vectors.buffer))).toBe(true)
})

test("a damaged byte loses its record and no other; what is added then makes the file whole", async () => {
  const labels = ["cat", "dog", "mouse"]
  await keep(labels)
  const path = tablePath()
  const bytes = readFileSync(path)
  for (let i = 0; i < bytes.length; i++) {
    const damaged = Buffer.from(bytes)
    damaged[i]! ^= 1
    writeFileSync(path, damaged)
    const lost = labels[Math.floor((i - header) / size)]
    expect(await found(labels), `byte ${i}`).toEqual(i < header ? [] : labels.filter((label) => label !== lost))
    if (i % 29 > 0) continue
    await keep(labels)
    expect(await found(labels), `byte ${i}`).toEqual(labels)
  }
})

test("a file that was cut off anywhere keeps what is whole, and takes more", async () => {
  const labels = ["cat", "dog", "mouse"]
  await keep(labels)
  const bytes = readFileSync(tablePath())
  for (const length of [0, 1, header - 1, header, header + 1, header + size - 1, header + size, bytes.length - 1]) {
    writeFileSync(tablePath(), bytes.subarray(0, length))
    const whole = labels.slice(0, Math.max(0, Math.floor((length - header) / size)))
    expect(await found(labels), `${length} bytes`).toEqual(whole)
    await keep(["bird"])
    expect(await found([...labels, "bird"]), `${length} bytes`).toEqual([...whole, "bird"])
    expect(statSync(tablePath()).size).toBe(header + (whole.length + 1) * size)
  }
})

test("records of another table, and values that are not numbers, are not used and not kept", async () => {
  await keep(["cat"])
  const own = tablePath()
  const table = await open()
  await table.keep(
    ["nan", "inf", "dog"],
    Float32Array.of(1, Number.NaN, 2, Number.POSITIVE_INFINITY, 1, 2, ...vectorOf("dog")),
  )
  expect(await found(["cat", "nan", "inf", "dog"])).toEqual(["cat", "dog"])
  const bytes = readFileSync(own)
  rmSync(own)
  await keep(["bird"], "other")
  const other = tablePath()
  appendFileSync(other, bytes.subarray(header))
  expect(await found(["cat", "dog", "bird"], "other")).toEqual(["bird"])
  const record = Buffer.concat([
    bytes.subarray(header, header + 16),
    Buffer.from(Float32Array.of(Number.NaN, 1, 2).buffer),
  ])
  const key = JSON.stringify(["label table 1", "model", JSON.stringify(templates)])
  const digest = createHash("sha256").update(key).update(record).digest().subarray(0, 16)
  rmSync(other)
  writeFileSync(own, Buffer.concat([bytes.subarray(0, header), record, digest]))
  expect(await found(["cat"])).toEqual([])
  await keep(["cat"])
  expect(await found(["cat"])).toEqual(["cat"])
})

test("several that add at the same time lose nothing", async () => {
  await keep(["first"])
  const lists = Array.from({ length: 8 }, (_, i) => Array.from({ length: 20 }, (_, k) => `${i} ${"x".repeat(k)}`))
  await Promise.all(lists.map((labels) => keep(labels)))
  const all = [...lists.flat(), "first"]
  expect(await found(all)).toEqual(all)
})

test("a full table is written anew with its newer half; one beyond all bounds is not read", async () => {
  const labels = Array.from({ length: 20 }, (_, i) => `label ${i}`)
  const options = { mostBytes: 2 * (header + 10 * size) }
  for (const label of labels) {
    const table = await open("model", options)
    await table.find([label], new Float32Array(width))
    await table.keep([label], vectorsOf([label]))
    expect(statSync(tablePath()).size).toBeLessThanOrEqual(options.mostBytes / 2)
  }
  const kept = await found(labels)
  expect(kept.length).toBeGreaterThanOrEqual(5)
  expect(kept).toEqual(labels.slice(-kept.length))
  truncateSync(tablePath(), 2 * options.mostBytes)
  expect(await (await open("model", options)).find(kept, new Float32Array(kept.length * width))).toHaveLength(
    kept.length,
  )
})

test("tables are among what is removed when it was not used for longest", async () => {
  await keep(["cat"])
  const cache = new VectorCache(folder, { mostBytes: 10 })
  await cache.trim()
  expect(readdirSync(folder)).toEqual([])
})

test.skipIf(process.platform === "win32")(
  "what is not a file is not a table, and is replaced where that is possible",
  async () => {
    await keep(["cat"])
    const path = tablePath()
    rmSync(path)
    execFileSync("mkfifo", [path])
    expect(await found(["cat"])).toEqual([])
    await keep(["cat"])
    expect(await found(["cat"])).toEqual(["cat"])
  },
)

test("where nothing can be written, it says so once", async () => {
  const notes: string[] = []
  writeFileSync(join(folder, "file"), "")
  const store = new VectorCache(join(folder, "file", "cache"), { onNote: (line) => notes.push(line) }).labelStore(["m"])
  const table = (await store.open(2, templates, width))!
  expect(await table.find(["cat", "dog"], new Float32Array(2 * width))).toEqual([0, 1])
  for (const label of ["cat", "dog"]) await table.keep([label], vectorsOf([label]))
  await table.end()
  expect(notes).toEqual([expect.stringMatching(/^vectors are not kept from here on: /)])
})

test("a table that takes longer to read than few labels take to encode is left alone", async () => {
  const labels = Array.from({ length: 20 }, (_, i) => `label ${i}`)
  await keep(labels)
  const opened = (mostRead: number) => new VectorCache(folder).labelStore(["model"], mostRead).open(1, templates, width)
  expect(await opened(header + 20 * size - 1)).toBeNull()
  const table = await opened(header + 20 * size)
  expect(await table!.find(["label 19"], new Float32Array(width))).toEqual([])
  const another = new VectorCache(folder).labelStore(["another"], 0)
  expect(await another.open(1, templates, width)).not.toBeNull()
})
