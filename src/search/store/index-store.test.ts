import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "@photostructure/sqlite"
import { afterEach, expect, test } from "vitest"
import { FullDisk } from "../../../test/full-disk.ts"
import { float16ToFloat32 } from "../../core/arrays/half.ts"
import { IndexStore } from "./index-store.ts"
import { IndexWriter } from "./index-writer.ts"
import { type ContentDetails, type NewPicture, putFile } from "./picture-rows.ts"
import { readVectorHeader, requireVectorsOf, vectorOffset } from "./vector-file.ts"

const made: string[] = []
const folder = () => {
  made.push(mkdtempSync(join(tmpdir(), "mobileclip-index-store-")))
  return join(made.at(-1)!, "index")
}
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
})

const model = {
  ...{ model: "m", source: "/m", identity: "m sha256:1", dim: 4 },
  settings: { orientation: "apply", decode: "exact", store: "file" },
} as const

function picture(n: number, path = `a/${n}.jpg`, vector: number[] | null = [0, 0.5, -1, n / 8]): NewPicture {
  const content: ContentDetails = {
    ...{
      hash: Uint8Array.from({ length: 32 }, () => n),
      bytes: 10,
      format: "jpg",
      width: 4,
      height: 3,
      orientation: 1,
    },
    ...{ taken: null, camera: null, lens: null, latitude: null, longitude: null, sharpness: null },
    ...{ caption: `a picture of ${n}`, keywords: ["red", "blue"] },
  }
  return { content, vector: vector && Float32Array.from(vector), files: [{ root: 1, path, size: 10, mtime: 1.5 }] }
}

async function withPictures(path: string, ...pictures: NewPicture[]) {
  const writer = await IndexWriter.open(path, "a test")
  const generation = writer.active ?? writer.addGeneration(model)
  writer.store.run("INSERT OR IGNORE INTO roots (id, path) VALUES (1, '/pictures')")
  try {
    writer.addPictures(generation, pictures)
  } catch (error) {
    writer[Symbol.dispose]()
    throw error
  }
  return { writer, generation }
}

function rowsOf(path: string, dim: number): number[][] {
  const bytes = readFileSync(path).subarray(vectorOffset)
  const values = [
    ...float16ToFloat32(new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))),
  ]
  return Array.from({ length: values.length / dim }, (_, i) => values.slice(i * dim, (i + 1) * dim))
}

test("what was added is read while the writer is open: rows, files, words, vectors", async () => {
  const path = folder()
  const { writer, generation } = await withPictures(path, picture(1), picture(2, "b/2.jpg", null))
  using store = IndexStore.open(path)
  expect([store.count, store.active().dim]).toEqual([2, 4])
  expect(readVectorHeader(store.vectorsPath(generation))).toMatchObject({ dim: 4, identity: "m sha256:1" })
  const rows = rowsOf(store.vectorsPath(generation), 4)
  expect(rows).toEqual([
    [0, 0.5, -1, 0.125],
    [Number.NaN, Number.NaN, Number.NaN, Number.NaN],
  ])
  expect([...store.withoutVector(generation)]).toEqual([2])
  const found = (words: string) => store.rows("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid", words)
  expect(found("path: b").map(({ rowid }) => rowid)).toEqual([2])
  expect(found("blue").length).toBe(2)
  writer.removeFile(1)
  expect(found("blue").map(({ rowid }) => rowid)).toEqual([2])
  expect(store.rows("SELECT id FROM contents WHERE copies = 0")).toEqual([{ id: 1 }])
  putFile(writer.store, { file: { root: 1, path: "c/copy.jpg", size: 10, mtime: 2 }, content: 2 })
  expect(store.row("SELECT copies FROM contents WHERE id = 2")).toEqual({ copies: 2 })
  writer[Symbol.dispose]()
})

test("a batch that was not counted is overwritten by the next one", async () => {
  const path = folder()
  const first = await withPictures(path, picture(1))
  const file = first.writer.store.vectorsPath(first.generation)
  first.writer[Symbol.dispose]()
  writeFileSync(file, Buffer.from([1, 2, 3]), { flag: "a" })
  const { writer } = await withPictures(path, picture(2))
  writer[Symbol.dispose]()
  expect(rowsOf(file, 4).slice(0, 2)).toEqual([
    [0, 0.5, -1, 0.125],
    [0, 0.5, -1, 0.25],
  ])
})

test("an error within a batch leaves nothing of it", async () => {
  const path = folder()
  const { writer, generation } = await withPictures(path, picture(1))
  expect(() => writer.addPictures(generation, [picture(2), picture(1, "other.jpg")])).toThrow(/UNIQUE/)
  expect([writer.store.count, writer.store.rows("SELECT path FROM files")]).toEqual([1, [{ path: "a/1.jpg" }]])
  writer[Symbol.dispose]()
})

test("one process writes; a second one is told who does", async () => {
  const path = folder()
  const { writer } = await withPictures(path, picture(1))
  await expect(IndexWriter.open(path, "another")).rejects.toThrow(/a test/)
  writer[Symbol.dispose]()
  ;(await IndexWriter.open(path, "another"))[Symbol.dispose]()
})

test("a new generation answers after it is activated, and the old one's file goes", async () => {
  const path = folder()
  const { writer, generation } = await withPictures(path, picture(1))
  const next = writer.addGeneration({ ...model, dim: 2, identity: "n" })
  expect([next.id, next.state]).toEqual([2, "building"])
  writer.setVectors(next, 0, Float32Array.of(1, 0))
  using store = IndexStore.open(path)
  expect(store.active().id).toBe(1)
  await writer.activate(next)
  expect([store.active().id, store.generations().length]).toEqual([2, 1])
  expect(() => readVectorHeader(store.vectorsPath(generation))).toThrow(/is missing/)
  writer[Symbol.dispose]()
})

test("rows that are passed over have no vector: zeros would be found", async () => {
  const path = folder()
  const { writer } = await withPictures(path, picture(1), picture(2), picture(3))
  const next = writer.addGeneration({ ...model, identity: "n" })
  writer.setVectors(next, 2, Float32Array.of(0, 0, 0, 1))
  const none = Array(4).fill(Number.NaN)
  expect(rowsOf(writer.store.vectorsPath(next), 4)).toEqual([none, none, [0, 0, 0, 1]])
  expect([...writer.store.withoutVector(next)]).toEqual([1, 2])
  writer[Symbol.dispose]()
})

test("what is not an index, is newer, damaged or cut is told in one line", async () => {
  const path = folder()
  expect(() => IndexStore.open(path)).toThrow(/there is no index in .*: it does not exist/)
  const { writer, generation } = await withPictures(path, picture(1), picture(2))
  const vectors = writer.store.vectorsPath(generation)
  writer[Symbol.dispose]()
  truncateSync(vectors, vectorOffset + 8)
  await expect(withPictures(path, picture(3))).rejects.toThrow(/was cut: it has 1 of 2 vectors/)
  const database = join(path, "index.sqlite")
  copyFileSync(database, `${database}.good`)
  const db = new DatabaseSync(database)
  db.exec("PRAGMA user_version = 7")
  db.close()
  expect(() => IndexStore.open(path)).toThrow(/version 7, and this program reads version 1/)
  for (const beside of ["-wal", "-shm"]) rmSync(database + beside, { force: true })
  writeFileSync(
    database,
    "no database, but a text that is longer than the header of one, which has a hundred bytes".repeat(3),
  )
  expect(() => IndexStore.open(path)).toThrow(/is damaged/)
})

test("vectors of another model are refused wherever they are opened, whatever their length", async () => {
  const path = folder()
  const first = await withPictures(path, picture(1))
  const file = first.writer.store.vectorsPath(first.generation)
  first.writer[Symbol.dispose]()
  const own = readFileSync(file)
  const another = Buffer.from(own)
  another.write(own.toString("latin1", 0, vectorOffset).replace("m sha256:1", "m sha256:2"), "latin1")
  writeFileSync(file, another)
  const { dim, identity } = model
  expect(() => requireVectorsOf(file, { dim, identity })).toThrow(/another model than the index says/)
  expect(() => requireVectorsOf(file, { dim, identity: "m sha256:2" })).not.toThrow()
  await expect(withPictures(path, picture(2))).rejects.toThrow(/another model than the index says/)
  expect(readFileSync(file).equals(another)).toBe(true)
  writeFileSync(file, own)
  ;(await withPictures(path, picture(2))).writer[Symbol.dispose]()
  expect(rowsOf(file, 4)[1]).toEqual([0, 0.5, -1, 0.25])
})

test("a file of vectors that is missing is told with its repair, and none is made; a pipe in its place is not waited for", async () => {
  const path = folder()
  const { writer, generation } = await withPictures(path, picture(1))
  const file = writer.store.vectorsPath(generation)
  writer[Symbol.dispose]()
  rmSync(file)
  const missing = {
    message: `${file} is missing`,
    hint: `mobileclip index verify --repair --index ${path} encodes again what is lost`,
  }
  await expect(withPictures(path, picture(2))).rejects.toMatchObject(missing)
  expect(existsSync(file)).toBe(false)
  if (process.platform === "win32") return
  execFileSync("mkfifo", [file])
  expect(() => readVectorHeader(file)).toThrow(`${file} is not a file`)
  await expect(withPictures(path, picture(2))).rejects.toThrow(`${file} is not a file`)
})

test("settings of a model that are not JSON are told as damage", async () => {
  const path = folder()
  const { writer } = await withPictures(path, picture(1))
  writer.store.run("UPDATE generations SET settings = '{'")
  writer[Symbol.dispose]()
  using store = IndexStore.open(path)
  expect(() => store.active()).toThrow(/index\.sqlite: the settings of generation 1 are damaged/)
})

test("a database that is empty, or a folder, is told as that", () => {
  const [empty, directory] = [folder(), folder()]
  mkdirSync(empty)
  writeFileSync(join(empty, "index.sqlite"), "")
  mkdirSync(join(directory, "index.sqlite"), { recursive: true })
  expect(() => IndexStore.open(empty)).toThrow("index.sqlite is empty")
  expect(() => IndexStore.open(directory)).toThrow("index.sqlite is not a file")
})

/** Counts the pictures of an index each time it is told to, as a user who may not write there. */
const reader = (module: string, path: string) => `
  if (process.getuid() === 0) process.setuid(65534)
  const { IndexStore } = await import(${JSON.stringify(module)})
  let store = IndexStore.open(${JSON.stringify(path)})
  for await (const _ of process.stdin) {
    const wasOutdated = store.isOutdated
    let error = null
    try { if (wasOutdated) store.rows("SELECT * FROM contents") } catch (reason) { error = reason.message }
    if (wasOutdated) store = IndexStore.open(${JSON.stringify(path)})
    console.log(JSON.stringify({ wasOutdated, error, count: store.count, rows: store.rows("SELECT id FROM contents").length }))
  }`

test("a folder that is read-only is read, and what somebody else writes to it meanwhile is seen", async () => {
  const path = folder()
  const { writer } = await withPictures(path, picture(1))
  writer[Symbol.dispose]()
  // They go when the process ends that wrote.
  for (const end of ["shm", "wal"]) rmSync(join(path, `index.sqlite-${end}`))
  for (const each of [join(path, ".."), path]) chmodSync(each, 0o555)
  const module = new URL("../../../dist/src/search/store/index-store.js", import.meta.url).href
  const child = spawn(process.execPath, ["--input-type=module", "-e", reader(module, path)], {
    stdio: ["pipe", "pipe", "inherit"],
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const ask = async () => {
    child.stdin.write("\n")
    return JSON.parse((await lines.next()).value as string)
  }
  expect(await ask()).toEqual({ wasOutdated: false, error: null, count: 1, rows: 1 })
  for (const each of [join(path, ".."), path]) chmodSync(each, 0o755)
  const later = await IndexWriter.open(path, "a test")
  for (let n = 2; n < 250; n += 8)
    later.addPictures(
      later.active!,
      Array.from({ length: 8 }, (_, i) => picture(n + i)),
    )
  later[Symbol.dispose]()
  const told = await ask()
  expect(told).toMatchObject({ wasOutdated: true, count: 249, rows: 249 })
  if (told.error !== null) expect(told.error).toBe(`${join(path, "index.sqlite")} was written while it was read`)
  child.stdin.end()
})

test("a database takes its name when it is complete: where the disk fills before that, the next run begins anew", async () => {
  using disk = FullDisk.mount(join(folder(), "..", "disk"), 1)
  if (!disk) return expect(process.getuid?.()).not.toBe(0)
  const [path, ballast] = [join(disk.path, "index"), join(disk.path, "full")]
  // The lock has room, the tables have not.
  truncateSync(ballast, statSync(ballast).size - 24 * 1024)
  await expect(IndexWriter.open(path, "a test")).rejects.toThrow("disk full while writing")
  expect(existsSync(join(path, "index.sqlite"))).toBe(false)
  rmSync(ballast)
  const writer = await IndexWriter.open(path, "a test")
  expect(writer.store.count).toBe(0)
  writer[Symbol.dispose]()
})

test("a reader waits for a moment in which the database is locked", async () => {
  const [made, path] = [folder(), folder()]
  const { writer } = await withPictures(made, picture(1))
  writer[Symbol.dispose]()
  // The first connection is collected later, and keeps its own database from being locked.
  mkdirSync(path)
  copyFileSync(join(made, "index.sqlite"), join(path, "index.sqlite"))
  const child = spawn(process.execPath, [
    "-e",
    `const { DatabaseSync } = require(${JSON.stringify(createRequire(import.meta.url).resolve("@photostructure/sqlite"))})
    const db = new DatabaseSync(${JSON.stringify(join(path, "index.sqlite"))})
    db.exec("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE")
    console.log("locked")
    setTimeout(() => db.exec("COMMIT; PRAGMA journal_mode = WAL"), 300)`,
  ])
  const ended = once(child, "exit")
  await once(child.stdout, "data")
  {
    using store = IndexStore.open(path)
    expect(store.count).toBe(1)
  }
  // It makes files in the folder that is removed after this.
  expect(await ended).toEqual([0, null])
})
