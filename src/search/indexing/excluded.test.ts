/** Paths that are not to be indexed, and a folder that goes away while it is. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import sharp from "sharp"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { exportModel } from "../../export/export.ts"
import { IndexStore } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { indexStatus } from "../upkeep/status.ts"
import { type IndexOptions, indexPictures } from "./index-pictures.ts"

let folder: string
let own: string
let runs = 0
const at = (...names: string[]) => join(own, ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "excluded-"))
  await exportModel(tinyModel(), tinyInfo, join(folder, "tiny"))
})
afterAll(() => rmSync(folder, { recursive: true }))

beforeEach(async () => {
  own = join(folder, String(runs++))
  for (const name of ["kept", "secret", "secrets"]) {
    mkdirSync(at("pictures", name), { recursive: true })
    await draw(at("pictures", name, "a.png"), name.length)
  }
})

async function draw(path: string, red: number): Promise<void> {
  await sharp({ create: { width: 70, height: 70, channels: 3, background: { r: red * 20, g: 9, b: 9 } } }).toFile(path)
}

const run = (options: IndexOptions = {}) =>
  indexPictures(at("index"), [at("pictures")], { model: join(folder, "tiny"), threads: 0, ...options })

function paths(): unknown[] {
  using store = IndexStore.open(at("index"))
  return store.rows("SELECT path FROM files ORDER BY path").map(({ path }) => path)
}

test("an excluded folder, and an excluded file, are passed over, and a folder with a longer name is not", async () => {
  await draw(at("pictures", "kept", "b.png"), 1)
  const writer = await IndexWriter.open(at("index"), "a test")
  for (const path of [at("pictures", "secret"), at("pictures", "kept", "b.png")])
    writer.store.run("INSERT INTO excluded VALUES (?)", path)
  writer[Symbol.dispose]()
  expect(await run()).toMatchObject({ encoded: 2, failed: 0 })
  expect(paths()).toEqual([join("kept", "a.png"), join("secrets", "a.png")])
  expect(await run()).toMatchObject({ encoded: 0, unchanged: 2 })
})

test("folders of other programs are left out, and what patterns name, which stay with the folder until others are given", async () => {
  let names = 1
  for (const path of ["@eaDir/b.png", "kept/node_modules/c.png", "kept/raw/d.png", "secret/raw.png", "e.gif.png"]) {
    mkdirSync(dirname(at("pictures", path)), { recursive: true })
    await draw(at("pictures", path), names++ / 2)
  }
  const notes: string[] = []
  const onNote = (line: string) => notes.push(line)
  expect(await run({ onNote })).toMatchObject({ encoded: 6 })
  expect(notes).toEqual([
    `${at("pictures")}: passed over what is left out: 2 names (@eaDir, ${join("kept", "node_modules")})`,
  ])
  expect(await run({ exclude: ["raw", "*cret*", "{e,f}.*", "kept/x/**"] })).toMatchObject({ removed: 5, kept: 0 })
  expect(paths()).toEqual([join("kept", "a.png")])
  expect(await run()).toMatchObject({ encoded: 0, known: 0, unchanged: 1 })
  expect((await indexStatus(at("index"))).roots).toMatchObject([{ exclude: ["raw", "*cret*", "{e,f}.*", "kept/x/**"] }])
  expect(await run({ exclude: ["kept/r*", "**/secret"] })).toMatchObject({ encoded: 0, known: 2, removed: 0 })
  expect(paths()).toEqual(["e.gif.png", join("kept", "a.png"), join("secrets", "a.png")])
  expect(await run({ exclude: [""] })).toMatchObject({ known: 3, removed: 0, files: 6 })
})

test("patterns stay with their folder when one around it is indexed later, and end with that folder's name", async () => {
  const [outer, inner] = [at("pictures"), at("pictures", "kept")]
  for (const [i, path] of ["kept/raw/b.png", "secret/raw/c.png", "secret/x/d.png", "kept/x/e.png"].entries()) {
    mkdirSync(dirname(at("pictures", path)), { recursive: true })
    await draw(at("pictures", path), i + 1.5)
  }
  const index = (folders: string[], exclude?: string[]) =>
    indexPictures(at("index"), folders, { model: join(folder, "tiny"), threads: 0, ...(exclude && { exclude }) })
  expect(await index([inner], ["raw", "x/*.png"])).toMatchObject({ files: 1 })
  const around = ["kept/a.png", "secret/a.png", "secret/raw/c.png", "secret/x/d.png", "secrets/a.png"]
  expect(await index([outer])).toMatchObject({ encoded: 4, removed: 0 })
  expect(paths()).toEqual(around)
  const roots = async () => (await indexStatus(at("index"))).roots
  const own = { path: inner, exclude: ["raw", "x/*.png"] }
  expect(await roots()).toMatchObject([{ path: outer, exclude: [], within: [own] }])
  // Other patterns of the folder around it are beside them, not in their place.
  expect(await index([outer], ["secrets"])).toMatchObject({ removed: 1 })
  expect(paths()).toEqual(around.slice(0, 4))
  expect(await index([])).toMatchObject({ encoded: 0, unchanged: 4, removed: 0 })
  expect(await index([inner], [""])).toMatchObject({ encoded: 2, removed: 0, files: 6 })
  expect(await roots()).toMatchObject([{ path: outer, exclude: ["secrets"], within: [] }])
  expect(await index([outer])).toMatchObject({ encoded: 0, known: 0, removed: 0, files: 6 })
})

test("patterns for a folder in one of the index hold in it alone, from both walks", async () => {
  await run()
  const secret = at("pictures", "secret")
  const onlySecret = await indexPictures(at("index"), [secret], { threads: 0, exclude: ["a.*"] })
  expect(onlySecret).toMatchObject({ removed: 1, files: 2 })
  expect(await run()).toMatchObject({ encoded: 0, known: 0, unchanged: 2, removed: 0 })
  expect(paths()).toEqual([join("kept", "a.png"), join("secrets", "a.png")])
})

test("an index in the folder of the pictures themselves is refused before it is made, and one below it is not", async () => {
  const within = (...names: string[]) =>
    indexPictures(at("pictures", ...names), [at("pictures")], { model: join(folder, "tiny"), threads: 0 })
  await expect(within()).rejects.toThrow(`${at("pictures")} is the index's own folder`)
  expect(existsSync(at("pictures", "index.sqlite"))).toBe(false)
  expect(await within(".index")).toMatchObject({ encoded: 3 })
})

test("a folder that goes away during a run ends it with its name, loses nothing, and is gone on with", async () => {
  await run()
  for (let i = 0; i < 60; i++) await draw(at("pictures", "kept", `${i}.png`), i / 20 + 0.5)
  copyFileSync(at("pictures", "kept", "a.png"), at("pictures", "kept", "z.png"))
  const startProgress = () => {
    renameSync(at("pictures"), at("away"))
    return { update() {}, done() {} }
  }
  await expect(run({ startProgress: startProgress as never })).rejects.toThrow(at("pictures"))
  const left = paths()
  for (const name of ["kept", "secret", "secrets"]) expect(left).toContain(join(name, "a.png"))
  using store = IndexStore.open(at("index"))
  expect(store.rows("SELECT path FROM failures")).toEqual([])
  renameSync(at("away"), at("pictures"))
  const last = await run()
  expect(last).toMatchObject({ failed: 0, removed: 0, files: 64 })
})
