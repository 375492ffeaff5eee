import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import sharp, { type Color } from "sharp"
import { afterAll, expect, test } from "vitest"
import { UserError } from "../../core/errors.ts"
import { thumbnail, thumbnailFile } from "./thumbnail.ts"

const folder = mkdtempSync(join(tmpdir(), "thumbnail-"))
afterAll(() => rmSync(folder, { recursive: true }))

const small = { width: 40, height: 40 }

function created(width: number, height: number, background: Color) {
  return sharp({ create: { width, height, channels: 4, background } })
}

test.each(["jpg", "png", "webp", "gif", "tif", "avif"])(
  "%s: within the size, in its shape, in its colours",
  async (kind) => {
    const path = join(folder, `wide.${kind}`)
    await created(200, 100, "#c04020").toFile(path)
    const image = await thumbnail(path, small)
    expect([image.width, image.height, image.channels]).toEqual([40, 20, 3])
    // Colours of JPEG and AVIF are stored in another space, rounded.
    for (const [c, value] of [0xc0, 0x40, 0x20].entries())
      expect(Math.abs(image.data[c]! - value)).toBeLessThanOrEqual(3)
  },
)

test("HEIC, which libvips does not read", async () => {
  const heic = fileURLToPath(new URL("../../../test/fixtures/heif/plain.heic", import.meta.url))
  const size = await sharp(heic.replace(".heic", ".png")).metadata()
  const image = await thumbnail(heic, { width: 32, height: 32 })
  const scale = 32 / Math.max(size.width, size.height)
  expect([image.width, image.height]).toEqual([size.width, size.height].map((side) => Math.round(side * scale)))
})

test("a small picture stays small, and transparent parts are white", async () => {
  const path = join(folder, "clear.png")
  await created(3, 2, { r: 0, g: 0, b: 0, alpha: 0 }).toFile(path)
  expect(await thumbnail(path, small)).toMatchObject({ width: 3, height: 2, data: Buffer.alloc(18, 255) })
})

test("files of both formats", async () => {
  const path = join(folder, "clear.png")
  expect(await sharp(await thumbnailFile(path, small, "jpeg")).metadata()).toMatchObject({ format: "jpeg", width: 3 })
  expect(await sharp(await thumbnailFile(path, small, "png")).metadata()).toMatchObject({ format: "png", height: 2 })
})

test("a picture that is cut off is shown as far as it goes; what is not one is refused", async () => {
  const whole = await created(400, 300, "#336699").jpeg().toBuffer()
  const cut = join(folder, "cut.jpg")
  writeFileSync(cut, whole.subarray(0, whole.length - 100))
  expect(await thumbnail(cut, small)).toMatchObject({ width: 40, height: 30 })
  writeFileSync(cut, whole.subarray(0, 30))
  await expect(thumbnail(cut, small)).rejects.toThrow("cut.jpg is damaged")
  const drawing = join(folder, "drawing.png")
  writeFileSync(drawing, '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
  await expect(thumbnail(drawing, small)).rejects.toThrow("drawing.png is not a picture")
  await expect(thumbnail(join(folder, "gone.png"), small)).rejects.toBeInstanceOf(UserError)
})
