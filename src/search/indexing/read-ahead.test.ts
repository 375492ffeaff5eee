/** How many files, and bytes, are read ahead, and files that are larger than pictures are. */
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterEach, beforeEach, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { float16ToFloat32 } from "../../core/arrays/half.ts"
import { exportModel } from "../../export/export.ts"
import { openRandomAccess } from "../../host/files/files.ts"
import { IndexStore } from "../store/index-store.ts"
import { vectorOffset } from "../store/vector-file.ts"
import { indexPictures } from "./index-pictures.ts"
import { readAhead } from "./read-ahead.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "read-ahead-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Sizes that are under way, at most, while all are read. */
async function mostUnderWay(sizes: readonly number[], budget: number): Promise<{ bytes: number; count: number }> {
  const under = new Set<number>()
  const found = { bytes: 0, count: 0 }
  const work = async (at: number) => {
    under.add(at)
    found.bytes = Math.max(
      found.bytes,
      [...under].reduce((sum, each) => sum + sizes[each]!, 0),
    )
    found.count = Math.max(found.count, under.size)
    return at
  }
  const order: number[] = []
  for await (const at of readAhead(sizes.keys(), (each) => sizes[each]!, work, budget)) {
    order.push(at)
    under.delete(at)
  }
  expect(order).toEqual([...sizes.keys()])
  return found
}

test("files are read ahead within a number and a budget of bytes, and one alone may have more", async () => {
  expect(await mostUnderWay(Array(40).fill(1), 100)).toEqual({ bytes: 16, count: 16 })
  expect(await mostUnderWay(Array(40).fill(30), 100)).toEqual({ bytes: 90, count: 3 })
  expect(await mostUnderWay([1, 2, 500, 3, 4], 100)).toEqual({ bytes: 500, count: 2 })
})

test("a file that is larger than any picture is a failure that was not read; one of some megabytes is encoded as it is", async () => {
  const at = (...names: string[]) => join(folder, ...names)
  mkdirSync(at("pictures"))
  await exportModel(tinyModel(), tinyInfo, at("tiny"))
  const background = { r: 200, g: 9, b: 90 }
  await sharp({ create: { width: 70, height: 50, channels: 3, background } }).toFile(at("pictures", "a.jpg"))
  copyFileSync(at("pictures", "a.jpg"), at("pictures", "large.jpg"))
  // What follows the end of a JPEG file belongs to its bytes, and not to its picture.
  appendFileSync(at("pictures", "large.jpg"), Buffer.alloc(2 ** 23))
  const huge = openSync(at("pictures", "huge.jpg"), "w")
  ftruncateSync(huge, 3 * 2 ** 30)
  closeSync(huge)
  const reasons: string[] = []
  const onFailure = (_: string, reason: string) => reasons.push(reason)
  const run = () => indexPictures(at("index"), [at("pictures")], { model: at("tiny"), threads: 0, onFailure })
  expect(await run()).toMatchObject({ encoded: 2, failed: 1, unread: 0 })
  expect(reasons).toEqual([
    `${at("pictures", "huge.jpg")} has 3221225472 bytes, and pictures of at most 1073741824 are read`,
  ])
  expect(await run()).toMatchObject({ unchanged: 2, failedBefore: 1 })
  using store = IndexStore.open(at("index"))
  const { dim } = store.active()
  using file = openRandomAccess(store.vectorsPath(store.active()))
  const [first, second] = [0, 1].map((row) =>
    float16ToFloat32(new Uint16Array(file.read(vectorOffset + row * dim * 2, dim * 2).slice().buffer)),
  )
  expect(first).toEqual(second)
  expect(Math.hypot(...first!)).toBeCloseTo(1, 3)
})
