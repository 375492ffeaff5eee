import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { deflateSync } from "node:zlib"
import { expect, test } from "vitest"
import { completed } from "./cut-off.ts"
import { decodeHere, decodeImage } from "./images.ts"

const folder = new URL("../../../test/fixtures/cut-off/", import.meta.url)
const pillow: { readonly files: Readonly<Record<string, Readonly<Record<string, string | null>>>> } = JSON.parse(
  readFileSync(new URL("pillow.json", folder), "utf8"),
)

/** Hash of the RGB bytes, with as many digits as in the fixtures. */
async function hashOf(bytes: Uint8Array): Promise<string | null> {
  const image = await decodeHere(bytes, { truncated: "accept" }).catch(() => null)
  return image && createHash("sha256").update(image.data).digest("hex").slice(0, 16)
}

test.each(Object.keys(pillow.files))("%s: the part that is there decodes as with Pillow", async (name) => {
  const whole = readFileSync(new URL(name, folder))
  const differing: number[] = []
  let found = 0
  for (const [length, expected] of Object.entries(pillow.files[name]!)) {
    const hash = await hashOf(whole.subarray(0, Number(length)))
    if (hash !== expected) differing.push(Number(length))
    if (hash !== null) found++
  }
  expect(found).toBeGreaterThan(20)
  expect(differing).toEqual([])
})

test("a file that has its end is not touched, nor is one without a pixel, damaged, or too large", async () => {
  const jpeg = readFileSync(new URL("progressive.jpg", folder))
  const png = readFileSync(new URL("rgb.png", folder))
  for (const whole of [jpeg, png, Buffer.concat([jpeg, Buffer.alloc(100, 0xff)]), Buffer.concat([png, png])])
    expect(completed(whole, 1e6)).toBeNull()
  for (const part of [jpeg.subarray(0, 150), png.subarray(0, 33), png.subarray(0, 20), Buffer.from("GIF89a")])
    expect(completed(part, 1e6)).toBeNull()
  expect(completed(png.subarray(0, 3000), 45 * 38)).not.toBeNull()
  expect(completed(png.subarray(0, 3000), 45 * 38 - 1)).toBeNull()
  await expect(decodeImage(png.subarray(0, 3000), { truncated: "accept", maxPixels: 1709 })).rejects.toThrow("45 x 38")
  const damaged = Buffer.from(png.subarray(0, 3000))
  damaged.fill(0x55, 60, 90)
  expect(completed(damaged, 1e6)).toBeNull()
  await expect(decodeImage(damaged, { truncated: "accept" })).rejects.toThrow("is damaged or cut off")
})

test("data that unpack to more than the picture has are not unpacked", () => {
  const png = readFileSync(new URL("gray.png", folder))
  const bomb = deflateSync(Buffer.alloc(1e7))
  const size = Buffer.alloc(4)
  size.writeUInt32BE(bomb.length)
  expect(completed(Buffer.concat([png.subarray(0, 33), size, Buffer.from("IDAT"), bomb]), 1e6)).toBeNull()
})

test("a few bytes that promise many pixels are not filled up", () => {
  const png = Buffer.from(readFileSync(new URL("gray.png", folder)).subarray(0, 1000))
  png.writeUInt32BE(1700, 16)
  png.writeUInt32BE(1000, 20)
  expect(completed(png, 1e8)).not.toBeNull()
  png.writeUInt32BE(2100, 16)
  expect(completed(png, 1e8)).toBeNull()
  const jpeg = Buffer.from(readFileSync(new URL("baseline.jpg", folder)).subarray(0, 690))
  const frame = jpeg.indexOf("ffc0", "hex")
  jpeg.writeUInt16BE(1700, frame + 5)
  jpeg.writeUInt16BE(1000, frame + 7)
  expect(completed(jpeg, 1e8)).not.toBeNull()
  jpeg.writeUInt16BE(1800, frame + 5)
  expect(completed(jpeg, 1e8)).toBeNull()
})

test("a cut-off picture is refused unless asked for, and marked when accepted; complete ones are the same either way", async () => {
  for (const name of ["baseline.jpg", "cmyk.jpg", "rgb.png", "interlaced.png"]) {
    const whole = readFileSync(new URL(name, folder))
    const part = whole.subarray(0, whole.length - 30)
    for (const decode of [decodeImage, decodeHere]) {
      await expect(decode(part, { name: "x" })).rejects.toThrow("x is damaged or cut off")
      await expect(decode(part, { name: "x", truncated: "refuse" })).rejects.toThrow("x is damaged or cut off")
      expect((await decode(part, { truncated: "accept" })).isCutOff).toBe(true)
      expect(await decode(whole, { truncated: "accept" })).toEqual(await decode(whole))
      expect((await decode(whole, { truncated: "accept" })).isCutOff).toBeUndefined()
    }
  }
})
