/** Indexing that is killed, stopped, refused its disk, or begun twice: what is committed stays, and the same call goes on. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, test } from "vitest"
import { FullDisk } from "../../../test/full-disk.ts"
import { tinyConfig, tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { Random } from "../../core/arrays/random.ts"
import { renderScene } from "../../data/scenes/render.ts"
import { sampleScene } from "../../data/scenes/scene.ts"
import { exportModel } from "../../export/export.ts"
import { Clip } from "../../model/clip.ts"
import { initialize } from "../../model/module.ts"
import { migrateIndex } from "../migrate/migrate-index.ts"
import { openScanner } from "../scan/scanner.ts"
import { SearchIndex } from "../search-index.ts"
import { IndexStore } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { vectorOffset } from "../store/vector-file.ts"
import { verifyIndex } from "../upkeep/verify.ts"
import { indexPictures } from "./index-pictures.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)
/** Several batches. */
const count = 900

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "interrupted-"))
  mkdirSync(at("pictures", "sub"), { recursive: true })
  await exportModel(tinyModel(), tinyInfo, at("tiny"))
  const scenes = await Promise.all(Array.from({ length: 30 }, (_, i) => renderScene(sampleScene(7, "train", i))))
  for (let i = 0; i < count; i++) {
    // What follows the end of a JPEG file belongs to its bytes, and not to its picture.
    const bytes = Buffer.concat([scenes[i % scenes.length]!, Buffer.from(`${i}`)])
    writeFileSync(at("pictures", i % 3 === 0 ? "sub" : "", `${String(i).padStart(4, "0")}.jpg`), bytes)
  }
  await indexPictures(at("undisturbed"), [at("pictures")], { model: at("tiny"), threads: 2 })
}, 60_000)
afterAll(() => rmSync(folder, { recursive: true }))

function writeUntilFull(path: string): void {
  const page = Buffer.alloc(4096)
  try {
    for (;;) appendFileSync(path, page)
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC")
  }
}

function start(index: string): ChildProcess {
  const words = [
    "index",
    at("pictures"),
    "--model",
    at("tiny"),
    "--index",
    index,
    "--threads",
    "2",
    "--progress",
    "none",
  ]
  return spawn(process.execPath, ["bin/mobileclip.js", ...words], { stdio: "ignore" })
}

function countIn(index: string): number {
  try {
    using store = IndexStore.open(index)
    return store.count
  } catch {
    return 0
  }
}

/** By path: hash and vector. */
async function contentOf(index: string) {
  using store = IndexStore.open(index)
  const { dim } = store.active()
  const scanner = openScanner(store.vectorsPath(store.active()), { dim, offset: vectorOffset })
  const rows = store.rows(
    "SELECT files.path AS path, hex(hash) AS hash, content FROM files JOIN contents ON contents.id = content ORDER BY path",
  )
  const vectors = await scanner.read(Uint32Array.from(rows, ({ content }) => Number(content) - 1))
  scanner.close()
  return { names: rows.map(({ path, hash }) => `${path} ${hash}`), vectors, contents: store.count }
}

test("killed three times, it is complete in the end, with nothing twice, as if it had not been", async () => {
  const random = new Random(Date.now())
  const index = at("killed")
  for (let kills = 0; kills < 3; kills++) {
    const before = countIn(index)
    const child = start(index)
    const ended = once(child, "exit")
    // A batch later, or before any; at the latest when it has ended.
    while (child.exitCode === null && kills > 0 && countIn(index) === before) await sleep(10)
    await sleep(random.uniform() * (kills === 0 ? 1500 : 100))
    child.kill("SIGKILL")
    await ended
  }
  const last = await indexPictures(index, [at("pictures")], { threads: 2, model: at("tiny") })
  expect(last.encoded + last.unchanged).toBe(count)
  const [found, expected] = [await contentOf(index), await contentOf(at("undisturbed"))]
  expect(found.names).toEqual(expected.names)
  expect([found.contents, expected.contents]).toEqual([count, count])
  expect(Buffer.from(found.vectors.buffer).equals(Buffer.from(expected.vectors.buffer))).toBe(true)
}, 120_000)

test.each(["vectors", "contents", "count"])(
  "killed within a batch, at its %s, it has the batches before, is whole, and ends as if it had not been",
  async (moment) => {
    const index = at(`within-${moment}`)
    const words = ["dist/test/index-process.js", index, at("pictures"), at("tiny"), moment]
    const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] })
    const exited = once(child, "exit")
    const [said] = await Promise.race([once(child.stdout, "data"), exited])
    expect(String(said)).toBe(`${moment}\n`)
    child.kill("SIGKILL")
    await exited
    const expected = await contentOf(at("undisturbed"))
    const before = await contentOf(index)
    expect(before.names).toHaveLength(before.contents)
    expect(before.contents).toBeGreaterThan(0)
    expect(before.contents).toBeLessThan(count)
    expect((await verifyIndex(index)).problems).toEqual([])
    const last = await indexPictures(index, [at("pictures")], { threads: 2 })
    expect([last.encoded, last.unchanged]).toEqual([count - before.contents, before.contents])
    const found = await contentOf(index)
    expect([found.names, found.contents]).toEqual([expected.names, count])
    expect(Buffer.from(found.vectors.buffer).equals(Buffer.from(expected.vectors.buffer))).toBe(true)
  },
  60_000,
)

test("while a process indexes, a second one is refused with its name, and searches find what is committed", async () => {
  const index = at("busy")
  const words = ["dist/test/index-process.js", index, at("pictures"), at("tiny"), "vectors"]
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] })
  const ended = once(child, "exit")
  await Promise.race([once(child.stdout, "data"), ended])
  await expect(indexPictures(index, [at("pictures")], { model: at("tiny") })).rejects.toThrow(
    /in use: mobileclip index/,
  )
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null
  let committed = 0
  await using open = await SearchIndex.open(index, { cache: false })
  do {
    const page = await open.search({ terms: [{ kind: "text", weight: 1, text: "a red square" }], limit: 5 })
    // The first seconds of a slow machine may give fewer.
    expect(page.hits).toHaveLength(Math.min(5, page.searched))
    expect(page.searched).toBeGreaterThanOrEqual(Math.max(1, committed))
    committed = page.searched
    // It stands still in its second batch until the first search has ended; a signal that comes before that is lost.
    child.kill("SIGCONT")
  } while (!hasEnded())
  await ended
  expect(countIn(index)).toBe(count)
}, 60_000)

test("beside a migration it is refused with its name, and so is a migration beside it; nothing is lost, and both go on", async () => {
  const index = at("migrated")
  cpSync(at("undisturbed"), index, { recursive: true })
  const other = new Clip({ ...tinyConfig, embedDim: 24 })
  initialize(other, 9)
  await exportModel(other, { ...tinyInfo, name: "other" }, at("other"))
  mkdirSync(at("more"))
  writeFileSync(at("more", "new.jpg"), await renderScene(sampleScene(7, "train", 99)))
  const [before, run] = [await contentOf(index), () => indexPictures(index, [at("more")], { threads: 0 })]
  const words = ["dist/test/migrate-process.js", index, at("other"), "100"]
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] })
  const exited = once(child, "exit")
  await Promise.race([once(child.stdout, "data"), exited])
  await expect(run()).rejects.toThrow(/^[^\n]* in use: mobileclip index migrate[^\n]*$/)
  expect(await contentOf(index)).toEqual(before)
  child.kill("SIGKILL")
  await exited
  expect(await run()).toMatchObject({ encoded: 1, pictures: count + 1 })
  const migrate = () => migrateIndex(index, { model: at("other"), threads: 2 })
  const writer = await IndexWriter.open(index, "mobileclip index")
  await expect(migrate()).rejects.toThrow(/^[^\n]* in use: mobileclip index \([^\n]*$/)
  writer[Symbol.dispose]()
  expect(await migrate()).toMatchObject({ pictures: count + 1, before: 64, missing: [] })
  expect((await contentOf(index)).names).toHaveLength(count + 1)
  expect(await run()).toMatchObject({ encoded: 0, unchanged: 1 })
}, 60_000)

test("stopped, it keeps what was done", async () => {
  const controller = new AbortController()
  const startProgress = () => ({ update: (done: number) => done === 300 && controller.abort(), done() {} })
  const options = { model: at("tiny"), threads: 2, signal: controller.signal, startProgress }
  await expect(indexPictures(at("stopped"), [at("pictures")], options)).rejects.toThrow(/abort/i)
  const kept = countIn(at("stopped"))
  expect(kept).toBeGreaterThanOrEqual(256)
  expect(await indexPictures(at("stopped"), [at("pictures")], { threads: 2 })).toMatchObject({ encoded: count - kept })
}, 60_000)

test("a full disk is told in a line, and nothing is lost", async () => {
  using disk = FullDisk.mount(at("full"), 4)
  if (!disk) {
    // Mounting takes root's rights.
    expect(process.getuid?.()).not.toBe(0)
    return
  }
  const index = join(disk.path, "index")
  await expect(indexPictures(index, [at("pictures")], { model: at("tiny"), threads: 2 })).rejects.toThrow(/disk full/)
  rmSync(join(disk.path, "full"))
  await indexPictures(index, [at("pictures", "sub")], { model: at("tiny"), threads: 2 })
  const before = await contentOf(index)
  writeUntilFull(join(disk.path, "full"))
  await expect(indexPictures(index, [at("pictures")], { threads: 2 })).rejects.toThrow(/disk full/)
  const after = await contentOf(index)
  expect(before.names.every((name) => after.names.some((other) => other.endsWith(name)))).toBe(true)
  rmSync(join(disk.path, "full"))
  expect(await indexPictures(index, [at("pictures")], { threads: 2 })).toMatchObject({ pictures: count, failed: 0 })
}, 60_000)
