import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp, { type Sharp } from "sharp"
import { expect, test } from "vitest"
import { heifFile, tileOf } from "../../../test/heif-file.ts"
import { UserError } from "../../core/errors.ts"
import { pictureFormat } from "./picture-format.ts"
import { type ThumbnailOptions, thumbnail, thumbnailPixels } from "./thumbnail.ts"

/** Red on the left, blue on the right. */
const [width, height] = [160, 80]
const halves = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
  const isLeft = Math.floor(i / 3) % width < width / 2
  return i % 3 === (isLeft ? 0 : 2) ? 230 : 20
})
const picture = () => sharp(halves, { raw: { width, height, channels: 3 } })

async function look(bytes: Uint8Array) {
  const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true })
  const pixel = (x: number, y: number) => [...data.subarray(3 * (y * info.width + x)).subarray(0, 3)]
  return { size: [info.width, info.height], channels: info.channels, pixel }
}

/** JPEG and WebP at 80 of 100 change plain colours by less. */
function expectColour(found: readonly number[], wanted: readonly number[]): void {
  for (const [i, value] of found.entries()) expect(Math.abs(value - wanted[i]!)).toBeLessThanOrEqual(12)
}
const [red, blue] = [
  [230, 20, 20],
  [20, 20, 230],
]

const kinds: Readonly<Record<string, (picture: Sharp) => Sharp>> = {
  ...{ jpeg: (p) => p.jpeg(), png: (p) => p.png(), webp: (p) => p.webp(), tiff: (p) => p.tiff(), gif: (p) => p.gif() },
  avif: (p) => p.avif({ quality: 90 }),
}

test.each(Object.keys(kinds))("%s: the longer side, the format and the colours", async (kind) => {
  const bytes = await kinds[kind]!(picture()).toBuffer()
  for (const format of ["jpeg", "webp"] as const) {
    const made = await thumbnail(bytes, { side: 40, format })
    expect(pictureFormat(made)).toBe(format === "jpeg" ? "jpg" : "webp")
    const { size, pixel } = await look(made)
    expect(size).toEqual([40, 20])
    expectColour(pixel(5, 10), red!)
    expectColour(pixel(34, 10), blue!)
  }
})

test("it is turned, or not; a smaller picture is not enlarged", async () => {
  const bytes = await picture().withMetadata({ orientation: 6 }).jpeg().toBuffer()
  const of = async (options: Partial<ThumbnailOptions>) => look(await thumbnail(bytes, { side: 40, ...options }))
  const turned = await of({})
  expect(turned.size).toEqual([20, 40])
  expectColour(turned.pixel(10, 4), red!)
  expectColour(turned.pixel(10, 35), blue!)
  expect((await of({ orientation: "ignore" })).size).toEqual([40, 20])
  expect((await of({ side: 1000 })).size).toEqual([80, 160])
})

test("pixels within a box, without loss", async () => {
  const png = await picture().png().toBuffer()
  const pixels = await thumbnailPixels(png, { width: 100, height: 20 })
  expect([pixels.width, pixels.height, pixels.data.length]).toEqual([40, 20, 40 * 20 * 3])
  expect([...pixels.data.subarray(0, 3)]).toEqual(red)
})

test("HEIC, from a path and upright; transparent is white, gray has three channels", async () => {
  const folder = mkdtempSync(join(tmpdir(), "thumbnail-"))
  const path = join(folder, "a.jpg")
  const fixture = (name: string) => readFileSync(new URL(`../../../test/fixtures/heif/${name}.heic`, import.meta.url))
  writeFileSync(
    path,
    heifFile({ tiles: [tileOf(fixture("tile"))], side: 64, columns: 1, width: 60, height: 30, turns: 1 }),
  )
  const { size } = await look(await thumbnail(path, { side: 20 }))
  rmSync(folder, { recursive: true })
  expect(size).toEqual([10, 20])
  const clear = await sharp({ create: { width: 8, height: 8, channels: 4, background: "#0000" } })
    .png()
    .toBuffer()
  expectColour((await look(await thumbnail(clear, { side: 8 }))).pixel(4, 4), [255, 255, 255])
  const gray = await picture().grayscale().png().toBuffer()
  expect((await look(await thumbnail(gray, { side: 8 }))).channels).toBe(3)
})

test("what is not a picture, damaged, too large, or no side is refused in one line", async () => {
  const jpeg = await picture().jpeg().toBuffer()
  const refused = async (bytes: Uint8Array, options: Partial<ThumbnailOptions>, message: string) => {
    const error = await thumbnail(bytes, { side: 40, name: "a.jpg", ...options }).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(UserError)
    expect((error as UserError).message).toBe(message)
  }
  await refused(Buffer.from("<svg/>"), {}, "a.jpg is not a picture")
  await refused(Buffer.alloc(0), {}, "a.jpg is empty")
  await refused(jpeg.subarray(0, -100), {}, "a.jpg is damaged or cut off")
  await refused(jpeg, { maxPixels: 12_799 }, "a.jpg has 160 x 80 pixels, more than the limit of 12,799")
  await refused(jpeg, { side: 0.5 }, "side must be a whole number from 1 to 16383, not 0.5")
})
