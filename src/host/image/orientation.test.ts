/** Turns are compared with sharp's, which are those of Pillow's `ImageOps.exif_transpose`. */
import sharp from "sharp"
import { expect, test } from "vitest"
import { decodeHere, decodeImage } from "./images.ts"
import { type Orientation, orientationOf } from "./orientation.ts"

const [width, height] = [150, 67]
const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7 + ((i / 450) | 0) * 11) % 251)
const turnedFile = (orientation: number) =>
  sharp(pixels, { raw: { width, height, channels: 3 } })
    .withMetadata({ orientation })
    .jpeg()
    .toBuffer()

test.each([1, 2, 3, 4, 5, 6, 7, 8] as Orientation[])(
  "orientation %i: the pixels that sharp gives",
  async (orientation) => {
    const file = await turnedFile(orientation)
    expect(orientationOf(file)).toBe(orientation)
    const expected = await decodeImage(file, { exif: "apply", decoder: "sharp" })
    for (const decode of [decodeImage, decodeHere]) {
      const found = await decode(file, { exif: "apply" })
      expect([found.width, found.height]).toEqual([expected.width, expected.height])
      expect(Buffer.compare(Buffer.from(found.data), Buffer.from(expected.data))).toBe(0)
    }
  },
)

test("without EXIF data a picture is as stored; what is said twice, strangely or not to the end is left to others", async () => {
  expect(
    orientationOf(
      await sharp(pixels, { raw: { width, height, channels: 3 } })
        .jpeg()
        .toBuffer(),
    ),
  ).toBe(1)
  const file = await turnedFile(6)
  const at = file.indexOf("Exif\0\0") - 4
  const block = file.subarray(at, at + 2 + file.readUInt16BE(at + 2))
  expect(orientationOf(Buffer.concat([file.subarray(0, at), block, file.subarray(at)]))).toBeNull()
  expect(orientationOf(file.subarray(0, at + 20))).toBeNull()
  const entry =
    file.indexOf(Buffer.of(0x12, 0x01)) < 0 ? file.indexOf(Buffer.of(0x01, 0x12)) : file.indexOf(Buffer.of(0x12, 0x01))
  for (const [offset, value] of [
    [2, 9],
    [3, 9],
    [6, 9],
    [8, 77],
    [9, 77],
  ] as const) {
    const strange = Buffer.from(file)
    strange[entry + offset] = value
    expect(orientationOf(strange)).toBeNull()
  }
  for (let length = 0; length < 300; length++) orientationOf(file.subarray(0, length))
})
