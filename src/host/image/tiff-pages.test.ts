import sharp from "sharp"
import { expect, test } from "vitest"
import { decodeImage } from "./images.ts"
import { pictureSize } from "./picture-size.ts"
import { firstPage } from "./tiff-pages.ts"

type Kind = "little" | "big" | "BigTIFF"

/** Pages of 2 x 2 gray pixels, all of value 7, one after the other. */
function tiff(pages: number, kind: Kind): Buffer {
  const isWide = kind === "BigTIFF"
  const number = (value: number, size: number) => {
    const bytes = Buffer.alloc(size)
    if (kind === "big") bytes.writeUIntBE(value, 0, size)
    else bytes.writeUIntLE(value, 0, Math.min(size, 6))
    return bytes
  }
  const wide = isWide ? 8 : 4
  const head = isWide ? [43, 8, 0].map((value) => number(value, 2)) : [number(42, 2)]
  const start = 2 + head.length * 2 + wide
  const tags = [256, 257, 258, 259, 262, 273, 277, 278, 279]
  const size = (isWide ? 8 : 2) + tags.length * (isWide ? 20 : 12) + wide
  const values = [2, 2, 8, 1, 1, start + pages * size, 1, 2, 4]
  const entries = tags.flatMap((tag, i) => [number(tag, 2), number(4, 2), number(1, wide), wideValue(values[i]!)])
  function wideValue(value: number) {
    return isWide ? Buffer.concat([number(value, 4), Buffer.alloc(4)]) : number(value, 4)
  }
  const page = (i: number) => [
    ...[number(tags.length, isWide ? 8 : 2), ...entries],
    number(i === pages - 1 ? 0 : start + (i + 1) * size, wide),
  ]
  return Buffer.concat([
    Buffer.from(kind === "big" ? "MM" : "II"),
    ...head,
    number(start, wide),
    ...Array.from({ length: pages }, (_, i) => page(i)).flat(),
    Buffer.alloc(4, 7),
  ])
}

test.each(["little", "big", "BigTIFF"] as const)("%s: libvips sees only the first of many pages", async (kind) => {
  const one = tiff(1, kind)
  expect(firstPage(one)).toBe(one)
  expect((await decodeImage(one, { animated: "refuse" })).data).toEqual(Buffer.alloc(12, 7))
  const many = tiff(5, kind)
  const copy = Buffer.from(many)
  expect((await sharp(many).metadata()).pages).toBe(5)
  expect((await sharp(firstPage(many)).metadata()).pages ?? 1).toBe(1)
  expect((await decodeImage(many)).data).toEqual(Buffer.alloc(12, 7))
  expect(await pictureSize(many, "x")).toEqual({ width: 2, height: 2 })
  expect(many.equals(copy)).toBe(true)
  await expect(decodeImage(tiff(2, kind), { name: "x", animated: "refuse" })).rejects.toThrow("x has several pages")
})

test("a damaged directory is left to libtiff", async () => {
  const bytes = tiff(2, "little")
  for (const length of [8, 9, 20, 110]) expect(firstPage(bytes.subarray(0, length))).toHaveLength(length)
  const far = Buffer.from(bytes)
  far.writeUInt32LE(0xfffffff0, 4)
  expect(firstPage(far)).toBe(far)
  await expect(decodeImage(far, { name: "x" })).rejects.toThrow("x is not a picture")
})
