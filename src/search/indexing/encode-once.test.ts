/** What a run encodes, and what it does not: real pictures, a small model, and its towers in threads. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { renderScene } from "../../data/scenes/render.ts"
import { sampleScene } from "../../data/scenes/scene.ts"
import { exportModel } from "../../export/export.ts"
import { decodeImage } from "../../host/image/images.ts"
import { sharpness } from "../../host/image/sharpness.ts"
import { fillFrom } from "../../pictures/prepare-pixels.ts"
import { IndexStore } from "../store/index-store.ts"
import { type IndexOptions, indexPictures } from "./index-pictures.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)
const count = 20

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "encode-once-"))
  mkdirSync(at("pictures", "sub"), { recursive: true })
  await exportModel(tinyModel(), tinyInfo, at("tiny"))
  for (let i = 0; i < count; i++)
    writeFileSync(at("pictures", i % 2 ? "sub" : "", `${i}.jpg`), await renderScene(sampleScene(7, "train", i)))
})
afterAll(() => rmSync(folder, { recursive: true }))

const run = (folders: string[], options: IndexOptions = {}) => indexPictures(at("index"), folders, options)
const rows = (sql: string) => {
  using store = IndexStore.open(at("index"))
  return store.rows(sql)
}

test("a mistyped folder makes no index, and none of the folders of one that is there", async () => {
  await expect(run([at("pictres")], { model: at("tiny") })).rejects.toThrow("pictres does not exist")
  await expect(run([at("tiny", "mobileclip.json")], { model: at("tiny") })).rejects.toThrow(
    /does not exist|not a folder/,
  )
  expect(existsSync(at("index"))).toBe(false)
})

test("each picture is encoded once, with its sharpness by the pixels that the tower takes", async () => {
  copyFileSync(at("pictures", "2.jpg"), at("pictures", "copy.jpg"))
  const summary = await run([at("pictures")], { model: at("tiny") })
  expect(summary).toMatchObject({ encoded: count, known: 1, failed: 0, pictures: count, files: count + 1 })
  const { preprocessing } = tinyInfo
  const found = rows("SELECT files.path AS path, sharpness FROM files JOIN contents ON contents.id = content")
  for (const { path, sharpness: stored } of found) {
    const out = new Float32Array(3 * preprocessing.size ** 2)
    fillFrom(await decodeImage(at("pictures", path as string)), [{ preprocessing, out }])
    const expected = sharpness(out, preprocessing)
    expect(expected).toBeGreaterThan(0)
    // The addon resizes rows as they come: its bytes differ from those of the whole picture by one at most, now and then.
    expect(Math.abs((stored as number) - expected)).toBeLessThan(0.02 * expected)
  }
})

test("a folder that was moved, and one that did not change, open no model", async () => {
  renameSync(at("pictures"), at("moved"))
  renameSync(at("tiny"), at("away"))
  const moved = await run([at("moved")])
  expect(moved).toMatchObject({ encoded: 0, known: count + 1, removed: count + 1, pictures: count, files: count + 1 })
  expect(await run([], { model: at("tiny") })).toMatchObject({ encoded: 0, known: 0, unchanged: count + 1 })
  expect(rows("SELECT path FROM roots")).toEqual([{ path: at("moved") }])
  renameSync(at("away"), at("tiny"))
})

test("pictures of the index's own folder are passed over", async () => {
  const inside = at("moved", "kept")
  const own = () => indexPictures(inside, [at("moved")], { model: at("tiny") })
  expect(await own()).toMatchObject({ encoded: count, files: count + 1 })
  writeFileSync(join(inside, "thumbnail.webp"), await renderScene(sampleScene(7, "train", 99)))
  expect(await own()).toMatchObject({ encoded: 0, unchanged: count + 1, files: count + 1 })
})
