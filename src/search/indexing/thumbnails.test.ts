import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { exportModel } from "../../export/export.ts"
import { IndexStore } from "../store/index-store.ts"
import { thumbnailPath } from "../store/thumbnail-path.ts"
import { forgetPaths } from "../upkeep/forget.ts"
import { indexPictures } from "./index-pictures.ts"
import { makeThumbnails } from "./thumbnails.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "thumbnails-"))
  mkdirSync(at("pictures"))
  await exportModel(tinyModel(), tinyInfo, at("tiny"))
  for (const [name, red] of [
    ["a.jpg", 250],
    ["b.png", 20],
  ] as const) {
    const picture = sharp({ create: { width: 600, height: 400, channels: 3, background: { r: red, g: 90, b: 30 } } })
    writeFileSync(at("pictures", name), await picture.toFormat(name === "a.jpg" ? "jpeg" : "png").toBuffer())
  }
  await indexPictures(at("index"), [at("pictures")], { model: at("tiny"), threads: 0 })
})
afterAll(() => rmSync(folder, { recursive: true }))

test("each picture has one, once, and what is forgotten has none", async () => {
  expect(await makeThumbnails(at("index"))).toEqual({ made: 2, known: 0, failed: 0 })
  expect(await makeThumbnails(at("index"))).toEqual({ made: 0, known: 2, failed: 0 })
  using store = IndexStore.open(at("index"))
  const hashOf = (name: string) =>
    store.row("SELECT hex(hash) AS hash FROM contents JOIN files ON content = contents.id WHERE path = ?", name)!
      .hash as string
  const path = thumbnailPath(at("index"), hashOf("a.jpg"))
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true })
  expect([info.width, info.height]).toEqual([256, 171])
  // WebP at quality 80 keeps an even colour within a few levels.
  expect(Math.abs(data[0]! - 250)).toBeLessThan(6)
  await forgetPaths(at("index"), [at("pictures", "a.jpg")])
  expect(existsSync(path)).toBe(false)
  expect(existsSync(thumbnailPath(at("index"), hashOf("b.png")))).toBe(true)
})

test("a picture whose file is gone has none, and no half of one is left", async () => {
  const { length } = readdirSync(at("index", "thumbnails"), { recursive: true })
  rmSync(at("index", "thumbnails"), { recursive: true })
  rmSync(at("pictures", "b.png"))
  expect(length).toBeGreaterThan(0)
  expect(await makeThumbnails(at("index"))).toEqual({ made: 0, known: 0, failed: 1 })
  expect(existsSync(at("index", "thumbnails"))).toBe(false)
})
