/** Which folders an index has: of wrong names, of one in another, and of none. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { renderScene } from "../../data/scenes/render.ts"
import { sampleScene } from "../../data/scenes/scene.ts"
import { exportModel } from "../../export/export.ts"
import { importIndex } from "../exchange/import/import-index.ts"
import { IndexStore } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { type IndexOptions, indexPictures } from "./index-pictures.ts"

let folder: string
let own: string
let runs = 0
const at = (...names: string[]) => join(own, ...names)
const names = ["a.jpg", "sub/b.jpg", "sub/deep/c.jpg", "subs/d.jpg"]

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "roots-"))
  await exportModel(tinyModel(), tinyInfo, join(folder, "tiny"))
})
afterAll(() => rmSync(folder, { recursive: true }))

beforeEach(async () => {
  own = join(folder, String(runs++))
  for (const name of ["sub/deep", "subs"]) mkdirSync(at("photos", name), { recursive: true })
  for (const [i, name] of names.entries())
    writeFileSync(at("photos", name), await renderScene(sampleScene(7, "train", i)))
})

const run = (folders: string[], options: IndexOptions = {}) =>
  indexPictures(at("index"), folders, { model: join(folder, "tiny"), threads: 0, ...options })

function rows(sql: string) {
  using store = IndexStore.open(at("index"))
  return store.rows(sql)
}

test("a folder within one of the index that never was is an error of one line; one that was is kept", async () => {
  await run([at("photos")])
  await expect(run([at("photos", "nope")])).rejects.toThrow(`${at("photos", "nope")} does not exist`)
  await expect(run([at("photos", "su")])).rejects.toThrow("does not exist")
  await expect(run([at("photos", "a.jpg")])).rejects.toThrow("a.jpg is not a folder")
  renameSync(at("photos", "sub"), at("away"))
  const notes: string[] = []
  const kept = await run([at("photos", "sub")], { onNote: (line) => notes.push(line) })
  expect(kept).toMatchObject({ unchanged: 2, removed: 0, files: 4 })
  expect(notes).toEqual([expect.stringContaining("sub is not there: its 2 files are kept")])
  rmSync(at("photos"), { recursive: true })
  expect(await run([at("photos")])).toMatchObject({ unchanged: 4, files: 4 })
  await expect(run([at("photos", "nope")])).rejects.toThrow("does not exist")
})

test("without a folder, an index that is missing is not made, and one without folders is told as that", async () => {
  await expect(run([])).rejects.toThrow(/^there is no index in .*: it does not exist$/)
  expect(existsSync(at("index"))).toBe(false)
  ;(await IndexWriter.open(at("index"), "a test"))[Symbol.dispose]()
  await expect(run([])).rejects.toThrow(/^the index in .* has no folders yet$/)
})

test.each([
  [["photos", "photos/sub"], 4],
  [["photos/sub", "photos"], 4],
  [["photos/sub/deep", "photos/sub", "photos/subs"], 3],
])("folders of which some lie in others, %j, are read once", async (given, files) => {
  const paths = given.map((name) => at(name))
  expect(await run(paths)).toMatchObject({ encoded: files, known: 0, files })
  expect(await run(paths)).toMatchObject({ encoded: 0, known: 0, unchanged: files })
})

test("an import into the folder around one of the index takes that one over", async () => {
  await run([at("photos", "sub")])
  writeFileSync(at("photos", "sub", "0.jpg"), await renderScene(sampleScene(7, "train", 9)))
  const paths = ["sub/0.jpg", ...names].map((name) => at("photos", name))
  const lines = [...paths, "https://example.org/x.jpg"].map((path) => `${JSON.stringify({ path })}\n`)
  writeFileSync(at("list.jsonl"), lines.join(""))
  const imported = await importIndex(at("index"), at("list.jsonl"), { threads: 0 })
  expect(imported).toMatchObject({ added: 3, known: 2, encoded: 3, leftOut: 1 })
  expect(rows("SELECT path FROM roots")).toEqual([{ path: at("photos") }])
  expect(await run([at("photos")])).toMatchObject({ encoded: 0, known: 0, unchanged: 5, files: 5 })
})
