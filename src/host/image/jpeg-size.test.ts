import sharp from "sharp"
import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { plainJpegSize } from "./jpeg-size.ts"
import { pictureSize } from "./picture-size.ts"

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

/** Marker segments with their lengths. */
function segment(marker: number, ...content: number[]): Buffer {
  const bytes = Buffer.from([0xff, marker, 0, 0, ...content])
  bytes.writeUInt16BE(bytes.length - 2, 2)
  return bytes
}

function inserted(jpeg: Buffer, at: number, part: Buffer): Buffer {
  return Buffer.concat([jpeg.subarray(0, at), part, jpeg.subarray(at)])
}

const frameMarkers = [0xc0, 0xc1, 0xc2]

function frameAt(jpeg: Buffer): number {
  return frameMarkers.map((marker) => jpeg.indexOf(Buffer.of(0xff, marker))).find((at) => at >= 0)!
}

/** As cameras and editors write them, and as they come damaged: a header, what was done to it, and whether the decoder is asked. */
const unusual: readonly [string, (jpeg: Buffer) => Buffer, "told" | "asked"][] = [
  ["restart markers", (jpeg) => inserted(jpeg, frameAt(jpeg), segment(0xdd, 0, 2)), "told"],
  ["a comment", (jpeg) => inserted(jpeg, frameAt(jpeg), segment(0xfe, 0xff, 0xc0, 0, 17)), "told"],
  ["a smaller JPEG in an APP1", (jpeg) => inserted(jpeg, 2, segment(0xe1, ...jpeg.subarray(0, headerOf(jpeg)))), "asked"],
  ["a thumbnail in the JFIF header", (jpeg) => withThumbnail(jpeg), "asked"],
  ["Adobe's marker", (jpeg) => inserted(jpeg, 2, segment(0xee, ...Buffer.from("Adobe\0\x64\0\0\0\0\x01", "latin1"))), "asked"],
  ["two frames", (jpeg) => inserted(jpeg, frameAt(jpeg), frameOf(jpeg)), "asked"],
  ["arithmetic conditioning", (jpeg) => inserted(jpeg, frameAt(jpeg), segment(0xcc, 0, 0x10)), "asked"],
  ["an arithmetic frame", (jpeg) => withFrame(jpeg, 0xc9), "asked"],
  ["a lossless frame", (jpeg) => withFrame(jpeg, 0xc3), "asked"],
  ["filling bytes before a marker", (jpeg) => inserted(jpeg, frameAt(jpeg), Buffer.of(0xff, 0xff)), "asked"],
  ["a height of zero, told later", (jpeg) => withHeight(jpeg, 0), "asked"],
  ["pixels that are missing", (jpeg) => jpeg.subarray(0, headerOf(jpeg) + 2), "told"],
  ["no end", (jpeg) => jpeg.subarray(0, -2), "told"],
  ["bytes after the end", (jpeg) => Buffer.concat([jpeg, jpeg]), "told"],
] // biome-ignore format: a line each

function frameOf(jpeg: Buffer): Buffer {
  const at = frameAt(jpeg)
  return jpeg.subarray(at, at + 2 + jpeg.readUInt16BE(at + 2))
}

function withFrame(jpeg: Buffer, marker: number): Buffer {
  const copy = Buffer.from(jpeg)
  copy[frameAt(jpeg) + 1] = marker
  return copy
}

function withHeight(jpeg: Buffer, height: number): Buffer {
  const copy = Buffer.from(jpeg)
  copy.writeUInt16BE(height, frameAt(jpeg) + 5)
  return copy
}

/** One pixel, which follows the header's size. */
function withThumbnail(jpeg: Buffer): Buffer {
  const head = segment(0xe0, ...Buffer.from("JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01", "latin1"), 1, 2, 3)
  const plain = jpeg.indexOf("JFIF\0") === 6 ? jpeg.subarray(4 + jpeg.readUInt16BE(4)) : jpeg.subarray(2)
  return Buffer.concat([jpeg.subarray(0, 2), head, plain])
}

test.each(unusual)("%s", async (_, change, expected) => {
  for (const made of Object.values(pictures)) {
    const bytes = change(await made().toBuffer())
    const size = plainJpegSize(bytes)
    expect(size !== null).toBe(expected === "told")
    const asked = await sizeBySharp(bytes)
    if (size) expect(asked).toEqual(size)
    const whole = await pictureSize(bytes, "x").catch(() => null)
    expect(whole).toEqual(asked)
  }
})

/** What cameras and editors write before the pixels. */
const described = {
  "EXIF data": () =>
    picture()
      .withMetadata({ orientation: 6, exif: { IFD0: { Copyright: "somebody" } } })
      .jpeg(),
  "a profile": () => picture().withIccProfile("p3").jpeg({ progressive: true }),
  "Adobe's marker": () => picture().toColourspace("cmyk").jpeg(),
}

test.each(Object.entries(described))("%s, damaged in any byte: the size is the decoder's", async (_, made) => {
  const jpeg = await made().toBuffer()
  let told = 0
  // By the first three bytes it is a JPEG.
  for (let at = 3; at < headerOf(jpeg); at++) {
    const copy = Buffer.from(jpeg)
    copy[at] = at % 2 ? random.int(256) : jpeg[at]! ^ (1 << random.int(8))
    for (const bytes of [copy, jpeg.subarray(0, at)]) {
      const asked = await sizeBySharp(bytes)
      expect(await pictureSize(bytes, "x").catch(() => null), `byte ${at}`).toEqual(asked)
      if (asked) told++
    }
  }
  expect(told).toBeGreaterThan(headerOf(jpeg) / 4)
})
