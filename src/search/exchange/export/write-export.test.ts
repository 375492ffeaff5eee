/** What is written, read back: by this project's reader, and by the bytes that others expect. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet"
import { afterAll, beforeAll, expect, test } from "vitest"
import { readNpy } from "../../../host/containers/npz.ts"
import { openSource } from "../sources/open-source.ts"
import type { ImportedPicture } from "../sources/source.ts"
import type { ExportedPicture } from "./pair-writer.ts"
import { type ExportFormat, type ExportRequest, writeExport } from "./write-export.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "export-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

const dim = 3
const pictureOf = (i: number): ExportedPicture => ({
  path: `/photos/é ${i}.jpg`,
  caption: i % 3 === 0 ? null : `caption ${i}`,
  vector: Float32Array.from({ length: dim }, (_, d) => Math.fround(Math.sin(i * dim + d))),
})

async function* batches(count: number, size = 4) {
  for (let from = 0; from < count; from += size)
    yield Array.from({ length: Math.min(size, count - from) }, (_, i) => pictureOf(from + i))
}

const model = { name: "m", identity: "m file=sha256:0", orientation: "apply" } as const

function request(to: string, format: ExportFormat, more: Partial<ExportRequest> = {}): ExportRequest {
  const settings = { store: "float32", partSize: 5, dim, model } as const
  return { to, format, ...settings, pictures: batches(11), ...more }
}

async function readBack(path: string) {
  await using source = await openSource(path)
  const pictures: ImportedPicture[] = []
  for await (const picture of source.pictures()) pictures.push(picture)
  return { model: source.model, pictures }
}

const wanted = Array.from({ length: 11 }, (_, i) => pictureOf(i))

test("clip-retrieval's folder, in parts, with the model that made it", async () => {
  expect(await writeExport(request(at("cr"), "clip-retrieval"))).toBe(11)
  expect(readdirSync(at("cr", "img_emb"))).toEqual([0, 1, 2].map((i) => `img_emb_000${i}.npy`))
  const found = await readBack(at("cr"))
  expect(found.pictures).toEqual(wanted)
  expect(found.model).toMatchObject(model)
  const { shape, dtype } = await readNpy(at("cr", "img_emb", "img_emb_0002.npy"))
  expect([shape, dtype]).toEqual([[1, dim], "F32"])
  const rows = await parquetReadObjects({
    file: await asyncBufferFromFile(at("cr", "metadata", "metadata_0001.parquet")),
  })
  expect(rows).toEqual(wanted.slice(5, 10).map(({ path, caption }) => ({ image_path: path, caption })))
})

test("a new export replaces an old one, and nothing else", async () => {
  await writeExport(request(at("again"), "clip-retrieval"))
  await writeExport(request(at("again"), "clip-retrieval", { pictures: batches(2), store: "float16" }))
  expect((await readBack(at("again"))).pictures.map(({ path }) => path)).toEqual(
    wanted.slice(0, 2).map(({ path }) => path),
  )
  writeFileSync(at("again", "mine.txt"), "")
  await expect(writeExport(request(at("again"), "clip-retrieval"))).rejects.toThrow("has other content (mine.txt)")
  mkdirSync(at("foreign/img_emb"), { recursive: true })
  writeFileSync(at("foreign/img_emb/img_emb_0000.npy"), "")
  await expect(writeExport(request(at("foreign"), "clip-retrieval"))).rejects.toThrow("has other content")
})

test("float16 is the nearest there is", async () => {
  await writeExport(request(at("half.npy"), "npy", { store: "float16" }))
  const { pictures } = await readBack(at("half.npy"))
  pictures.forEach(({ vector }, i) => {
    // Eleven bits of a value below 1: half a step is 2^-12.
    for (const [d, value] of vector!.entries())
      expect(Math.abs(value - wanted[i]!.vector[d]!)).toBeLessThanOrEqual(2 ** -12)
  })
})

test.each(["npy", "jsonl"] as const)("one %s file", async (format) => {
  const path = at(`one.${format}`)
  expect(await writeExport(request(path, format))).toBe(11)
  expect((await readBack(path)).pictures).toEqual(wanted)
})

test.each(["clip-retrieval", "npy", "jsonl"] as const)(
  "%s: where pictures end with an error, nothing is left",
  async (format) => {
    mkdirSync(at(`failing-${format}`))
    const failing = async function* () {
      yield* batches(7)
      throw new Error("the index is gone")
    }
    const to = at(`failing-${format}`, "out.npy")
    await expect(writeExport(request(to, format, { pictures: failing() }))).rejects.toThrow("the index is gone")
    expect(readdirSync(at(`failing-${format}`))).toEqual([])
  },
)

test("an old file stays until the new one is complete", async () => {
  writeFileSync(at("old.jsonl"), "old")
  const slow = async function* () {
    expect(readFileSync(at("old.jsonl"), "utf8")).toBe("old")
    yield* batches(1)
    expect(readFileSync(at("old.jsonl"), "utf8")).toBe("old")
  }
  await writeExport(request(at("old.jsonl"), "jsonl", { pictures: slow() }))
  expect((await readBack(at("old.jsonl"))).pictures).toHaveLength(1)
})
