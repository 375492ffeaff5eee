/** Files that change, go, fail and come back, in folders that may be gone themselves: real pictures and a small model. */
import { execFileSync } from "node:child_process"
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import sharp from "sharp"
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { exportModel } from "../../export/export.ts"
import { IndexStore } from "../store/index-store.ts"
import { type IndexOptions, type IndexSummary, indexPictures } from "./index-pictures.ts"
import { watchPictures } from "./watch.ts"

let folder: string
let runs = 0
let own: string
const at = (...names: string[]) => join(own, ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "changes-"))
  await exportModel(tinyModel(), tinyInfo, join(folder, "tiny"))
})
afterAll(() => rmSync(folder, { recursive: true }))

beforeEach(async () => {
  own = join(folder, String(runs++))
  mkdirSync(at("pictures", "sub"), { recursive: true })
  for (const [i, name] of ["a.jpg", "b.png", "sub/c.jpg", "sub/d.png"].entries()) await draw(at("pictures", name), i)
})

/** A picture that no other number gives. */
async function draw(path: string, number: number): Promise<void> {
  const { length } = Array(80 * 60 * 3).fill(0)
  const pixels = Uint8Array.from({ length }, (_, i) => (i * (number + 3) + (i >> 5) * 7) % 256)
  await sharp(pixels, { raw: { width: 80, height: 60, channels: 3 } }).toFile(path)
}

const run = (folders: string[] = [], options: IndexOptions = {}) =>
  indexPictures(at("index"), folders, { model: join(folder, "tiny"), threads: 0, ...options })

function paths(): string[] {
  using store = IndexStore.open(at("index"))
  const rows = store.rows("SELECT roots.path AS root, files.path AS path FROM files JOIN roots ON roots.id = root")
  return rows.map(({ root, path }) => join(root as string, path as string).slice(own.length + 1)).sort()
}

const all = ["pictures/a.jpg", "pictures/b.png", "pictures/sub/c.jpg", "pictures/sub/d.png"]

test("a changed file is read again, one that is touched keeps its vector, one that went loses its row and is known when it returns", async () => {
  expect(await run([at("pictures")])).toMatchObject({ encoded: 4, unchanged: 0 })
  await draw(at("pictures", "a.jpg"), 10)
  utimesSync(at("pictures", "b.png"), 1, 1)
  renameSync(at("pictures", "sub", "c.jpg"), at("c.jpg"))
  expect(await run()).toMatchObject({ encoded: 1, known: 1, removed: 1, unchanged: 1, pictures: 3, files: 3 })
  expect(paths()).toEqual(all.filter((path) => !path.endsWith("c.jpg")))
  renameSync(at("c.jpg"), at("pictures", "back.jpg"))
  expect(await run()).toMatchObject({ encoded: 0, known: 1, removed: 0, pictures: 4, files: 4 })
})

test("a folder that is gone, or empty, keeps its files until --prune", async () => {
  await run([at("pictures")])
  renameSync(at("pictures"), at("away"))
  const notes: string[] = []
  const onNote = (line: string) => notes.push(line)
  expect(await run([], { onNote })).toMatchObject({ removed: 0, unchanged: 0, kept: 4, files: 4 })
  mkdirSync(at("pictures"))
  expect(await run([], { onNote })).toMatchObject({ removed: 0, kept: 4, files: 4 })
  expect(notes.map((line) => line.replace(own, ""))).toEqual([
    expect.stringMatching(/^\/pictures is not there: its 4 files are kept; --prune/),
    expect.stringMatching(/^\/pictures is empty, .* its 4 files are kept; --prune/),
  ])
  expect(await run([], { prune: true })).toMatchObject({ removed: 4, files: 0, pictures: 0 })
  rmSync(at("pictures"), { recursive: true })
  renameSync(at("away"), at("pictures"))
  expect(await run([at("pictures")])).toMatchObject({ encoded: 0, known: 4, files: 4 })
})

test("a folder at any depth that is empty keeps its files, a note says so, and the walk does not count; moved ones leave", async () => {
  mkdirSync(at("pictures", "sub", "drive", "deep"), { recursive: true })
  for (const i of [5, 6, 7]) await draw(at("pictures", "sub", "drive", "deep", `${i}.png`), 20 + i)
  await run([at("pictures")])
  const walked = () => {
    using store = IndexStore.open(at("index"))
    return store.row("SELECT walked FROM roots")!.walked
  }
  const before = walked()
  renameSync(at("pictures", "sub", "drive", "deep"), at("unmounted"))
  const notes: string[] = []
  const onNote = (line: string) => notes.push(line)
  expect(await run([], { onNote })).toMatchObject({ removed: 0, kept: 3, unchanged: 4, files: 7 })
  expect(notes).toEqual([
    `${at("pictures", "sub", "drive")} is empty, as a drive that is not mounted: its 3 files are kept; ` +
      "--prune removes them where it is gone for good",
  ])
  expect(walked()).toBe(before)
  renameSync(at("unmounted"), at("pictures", "moved"))
  expect(await run()).toMatchObject({ encoded: 0, known: 3, removed: 3, files: 7 })
  renameSync(at("pictures", "moved"), at("unmounted"))
  expect(await run()).toMatchObject({ removed: 3, kept: 0, files: 4 })
})

test("a folder whose files cannot be looked at keeps them", async () => {
  // Root looks at everything.
  const script = `
    process.setuid?.(65534)
    const { indexPictures } = await import(${JSON.stringify(pathToFileURL("dist/src/search/indexing/index-pictures.js").href)})
    const notes = []
    const summary = await indexPictures(process.argv[1], [], { threads: 0, onNote: (line) => notes.push(line) })
    console.log(JSON.stringify({ ...summary, notes }))`
  await run([at("pictures")])
  chmodSync(folder, 0o755)
  execFileSync("chmod", ["-R", "a+rwX", own])
  const asNobody = () =>
    JSON.parse(execFileSync(process.execPath, ["--input-type=module", "-e", script, at("index")], { encoding: "utf8" }))
  for (const mode of [0o744, 0o711]) {
    chmodSync(at("pictures", "sub"), mode)
    const summary = asNobody()
    expect(summary).toMatchObject({ removed: 0, failed: 0, files: 4 })
    expect(summary.unread + summary.kept).toBe(2)
    expect(summary.notes.join()).toContain("no permission for reading")
  }
  chmodSync(at("pictures", "sub"), 0o755)
  expect(asNobody()).toMatchObject({ unchanged: 4, kept: 0, unread: 0, files: 4 })
})

test("a folder that is empty of a sudden while it is indexed is told, and what it had is read by the next run", async () => {
  for (let i = 0; i < 40; i++) await draw(at("pictures", "sub", `${i}.png`), 20 + i)
  const startProgress = () => {
    mkdirSync(at("unmounted"))
    for (const name of readdirSync(at("pictures", "sub")))
      renameSync(at("pictures", "sub", name), at("unmounted", name))
    return { update() {}, done() {} }
  }
  const summary = await run([at("pictures")], { startProgress: startProgress as never })
  expect(summary).toMatchObject({ failed: 0, encoded: 2, unread: 42 })
  {
    using store = IndexStore.open(at("index"))
    expect(store.row("SELECT walked FROM roots")).toEqual({ walked: null })
  }
  for (const name of readdirSync(at("unmounted"))) renameSync(at("unmounted", name), at("pictures", "sub", name))
  expect(await run()).toMatchObject({ encoded: 42, unread: 0, files: 44 })
})

test("a file that cannot be read has its reason, and is tried again when it changes, or when that is asked for", async () => {
  writeFileSync(at("pictures", "text.jpg"), "no picture")
  const whole = readFileSync(at("pictures", "b.png"))
  writeFileSync(at("pictures", "cut.png"), whole.subarray(0, 100))
  const failed: string[] = []
  const first = await run([at("pictures")], { onFailure: (path) => failed.push(path.slice(own.length)) })
  expect(first).toMatchObject({ encoded: 4, failed: 2, files: 4 })
  expect(failed.sort()).toEqual(["/pictures/cut.png", "/pictures/text.jpg"])
  expect(await run()).toMatchObject({ failed: 0, unchanged: 4, failedBefore: 2 })
  expect(await run([], { retry: true })).toMatchObject({ failed: 2, unchanged: 4, failedBefore: 0 })
  await draw(at("pictures", "text.jpg"), 20)
  rmSync(at("pictures", "cut.png"))
  expect(await run()).toMatchObject({ failed: 0, encoded: 1 })
  using store = IndexStore.open(at("index"))
  expect(store.rows("SELECT path FROM failures")).toEqual([])
})

test("a folder in another one is a part of it, and one around it takes it over with its words", async () => {
  await run([at("pictures", "sub")])
  expect(await run([at("pictures")])).toMatchObject({ encoded: 2, known: 0, unchanged: 2, files: 4 })
  await draw(at("pictures", "a.jpg"), 30)
  await draw(at("pictures", "sub", "c.jpg"), 31)
  expect(await run([at("pictures", "sub")])).toMatchObject({ encoded: 1, unchanged: 1 })
  expect(paths()).toEqual(all)
  using store = IndexStore.open(at("index"))
  expect(store.rows("SELECT path FROM roots")).toEqual([{ path: at("pictures") }])
  expect(store.rows("SELECT rowid FROM words WHERE words MATCH 'path: sub'")).toHaveLength(2)
})

test("pictures are turned as cameras noted, captions beside them are kept, and HEIC decodes", async () => {
  const tall = await sharp(readFileSync(at("pictures", "a.jpg")))
    .withMetadata({ orientation: 6 })
    .toBuffer()
  writeFileSync(at("pictures", "tall.jpg"), tall)
  writeFileSync(at("pictures", "tall.txt"), "a tower at dusk")
  copyFileSync("test/fixtures/heif/grid.heic", at("pictures", "phone.heic"))
  expect(await run([at("pictures")])).toMatchObject({ encoded: 6, failed: 0 })
  using store = IndexStore.open(at("index"))
  const row = (name: string) =>
    store.row("SELECT contents.* FROM contents JOIN files ON content = contents.id WHERE path = ?", name)
  expect(row("tall.jpg")).toMatchObject({ width: 60, height: 80, orientation: 6, caption: "a tower at dusk" })
  expect(row("phone.heic")).toMatchObject({ format: "heic" })
  await expect(run([], { settings: { orientation: "ignore" } })).rejects.toThrow(/orientation "apply", not "ignore"/)
})

test("a caption beside a picture that changed alone is read again, and nothing is encoded", async () => {
  const words = (text: string) => {
    using store = IndexStore.open(at("index"))
    const found = store.rows("SELECT path FROM files WHERE id IN (SELECT rowid FROM words WHERE words MATCH ?)", text)
    return found.map(({ path }) => path)
  }
  writeFileSync(at("pictures", "a.txt"), "a tower")
  copyFileSync(at("pictures", "a.jpg"), at("pictures", "sub", "copy.jpg"))
  expect(await run([at("pictures")])).toMatchObject({ encoded: 4, known: 1 })
  expect(await run()).toMatchObject({ unchanged: 5, described: 0 })
  writeFileSync(at("pictures", "a.txt"), "a bridge")
  writeFileSync(at("pictures", "sub", "d.png.txt"), "a harbour")
  // As a copy that keeps the time of what it is of.
  utimesSync(at("pictures", "sub", "d.png.txt"), 1, 1)
  expect(await run()).toMatchObject({ encoded: 0, known: 0, unchanged: 5, described: 2, removed: 0 })
  expect([words("tower"), words("bridge"), words("harbour")]).toEqual([[], ["a.jpg", "sub/copy.jpg"], ["sub/d.png"]])
  expect(await run()).toMatchObject({ unchanged: 5, described: 0 })
})

test("another model than the index's is refused, and nothing changes", async () => {
  await run([at("pictures")])
  await exportModel(tinyModel(), { ...tinyInfo, preprocessing: { ...tinyInfo.preprocessing, size: 32 } }, at("other"))
  await expect(run([], { model: at("other") })).rejects.toThrow(
    /index is of tiny \(.*tiny\), and other \(.*other\) is another model/,
  )
  expect(await run()).toMatchObject({ unchanged: 4 })
})

/** As long as the test's own time allows. */
async function until(isSo: () => boolean): Promise<void> {
  await vi.waitUntil(isSo, { timeout: 60_000, interval: 50 })
}

test("while folders are watched, one that went and came back is watched again, and an index that went is not made anew", async () => {
  const controller = new AbortController()
  const passes: IndexSummary[] = []
  const notes: string[] = []
  const watching = watchPictures(at("index"), [at("pictures")], {
    ...{ model: join(folder, "tiny"), threads: 0, restSeconds: 0.2, signal: controller.signal },
    onPass: (summary) => {
      passes.push(summary)
      // Between two passes: one that is under way fails otherwise.
      if (paths().length === 6) rmSync(at("index"), { recursive: true })
    },
    onNote: (line) => notes.push(line),
  })
  // A failure is looked at below.
  watching.catch(() => {})
  await until(() => passes.length === 1)
  // The pass that follows the beginning of a watch would fail in its middle: it is over by then.
  await sleep(2000)
  renameSync(at("pictures"), at("away"))
  await until(() => notes.some((line) => line.includes("is not there")))
  cpSync(at("away"), at("pictures"), { recursive: true })
  await draw(at("pictures", "e.png"), 40)
  await until(() => paths().length === 5)
  await sleep(300)
  await draw(at("pictures", "sub", "f.png"), 41)
  await until(() => !existsSync(at("index")))
  expect(notes).toEqual([...new Set(notes)])
  await draw(at("pictures", "g.png"), 42)
  await expect(watching).rejects.toThrow(/there is no index in/)
  expect(existsSync(at("index"))).toBe(false)
})

test("what comes, changes and goes while folders are watched is indexed, until it is stopped", async () => {
  const controller = new AbortController()
  const passes: IndexSummary[] = []
  const watching = watchPictures(at("index"), [at("pictures")], {
    ...{ model: join(folder, "tiny"), threads: 0, restSeconds: 0.2, signal: controller.signal },
    onPass: (summary) => passes.push(summary),
  })
  const sum = (name: "encoded" | "known" | "removed") => passes.reduce((all, pass) => all + pass[name], 0)
  await until(() => sum("encoded") === 4)
  await sleep(300)
  mkdirSync(at("pictures", "new"))
  await draw(at("pictures", "new", "e.jpg"), 40)
  await until(() => sum("encoded") === 5)
  renameSync(at("pictures", "sub"), at("pictures", "renamed"))
  await until(() => sum("removed") === 2)
  expect(sum("known")).toBe(2)
  expect(paths()).toContain("pictures/renamed/c.jpg")
  controller.abort()
  await expect(watching).rejects.toThrow(/abort/i)
  expect(execFileSync("ls", ["-A", at("index")], { encoding: "utf8" })).not.toContain(".lock")
})

test("a folder below a hidden one is watched", async () => {
  const controller = new AbortController()
  mkdirSync(at(".hidden"))
  renameSync(at("pictures"), at(".hidden", "pictures"))
  let hasPassed = false
  // Nothing is looked at before the system tells of a change.
  const watched = {
    model: join(folder, "tiny"),
    threads: 0,
    signal: controller.signal,
    onPass: () => (hasPassed = true),
  }
  const watching = watchPictures(at("index"), [at(".hidden", "pictures")], {
    ...{ ...watched, restSeconds: 0.2, againSeconds: 3600 },
  })
  await until(() => hasPassed && paths().length === 4)
  await sleep(300)
  await draw(at(".hidden", "pictures", "e.png"), 40)
  await until(() => paths().length === 5)
  controller.abort()
  await expect(watching).rejects.toThrow(/abort/i)
})

test("a folder that never rests is indexed all the same, also where nobody is told of passes", async () => {
  const controller = new AbortController()
  const watching = watchPictures(at("index"), [at("pictures")], {
    ...{ model: join(folder, "tiny"), threads: 0, signal: controller.signal, restSeconds: 3600, againSeconds: 0.5 },
  })
  await until(() => existsSync(at("index", "index.sqlite")) && paths().length === 4)
  await draw(at("pictures", "e.png"), 40)
  await until(() => paths().length === 5)
  controller.abort()
  await expect(watching).rejects.toThrow(/abort/i)
})
