import sharp from "sharp"
import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { plainJpegSize } from "./jpeg-size.ts"

const random = new Random(1)
const pixels = Uint8Array.from({ length: 33 * 21 * 3 }, () => random.int(256))
const picture = () => sharp(pixels, { raw: { width: 33, height: 21, channels: 3 } })

const pictures = {
  baseline: () => picture().jpeg(),
  "whole colours": () => picture().jpeg({ chromaSubsampling: "4:4:4" }),
  progressive: () => picture().jpeg({ progressive: true }),
  gray: () => picture().grayscale().jpeg(),
}

/** By the decoder; null where it refuses the picture. */
async function sizeBySharp(bytes: Uint8Array) {
  const found = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    .catch(() => null)
  return found && { width: found.width, height: found.height }
}

function headerOf(jpeg: Buffer): number {
  const scan = jpeg.indexOf(Buffer.of(0xff, 0xda))
  return scan + 2 + jpeg.readUInt16BE(scan + 2)
}

test.each(Object.entries(pictures))("%s: the size is told without the decoder", async (_, made) => {
  expect(plainJpegSize(await made().toBuffer())).toEqual({ width: 33, height: 21 })
})

test("what has more than a plain header is for the decoder", async () => {
  expect(plainJpegSize(await picture().withMetadata({ orientation: 6 }).jpeg().toBuffer())).toBeNull()
  expect(plainJpegSize(await picture().toColourspace("cmyk").jpeg().toBuffer())).toBeNull()
  expect(plainJpegSize(Buffer.from("\xff\xd8\xff", "latin1"))).toBeNull()
})

/** In every byte of the header, and in the lengths of what is left of it. */
test.each(Object.entries(pictures))("%s, damaged: what is told is what the decoder says", async (_, made) => {
  const jpeg = await made().toBuffer()
  const header = headerOf(jpeg)
  let told = 0
  for (let at = 2; at < header; at++) {
    const changed = [0, 0xff, jpeg[at]! ^ 1, jpeg[at]! ^ 0x10, random.int(256)].map((value) => {
      const copy = Buffer.from(jpeg)
      copy[at] = value
      return copy
    })
    for (const bytes of [...changed, jpeg.subarray(0, at)]) {
      const size = plainJpegSize(bytes)
      if (!size) continue
      told += 1
      expect(await sizeBySharp(bytes), `byte ${at}`).toEqual(size)
    }
  }
  expect(told).toBeGreaterThan(header)
})
