/** The pixels of test/fixtures/avif are those of Pillow 12.3: hard edges of saturated colours, of odd sizes, and of even ones in limited range. */
import { readFileSync } from "node:fs"
import sharp from "sharp"
import { expect, test } from "vitest"
import { image8 } from "../../../core/image/pixels.ts"
import { decodeImage } from "../images.ts"
import { asPlanes, fromPlanes } from "./chroma.ts"

const folder = new URL("../../../../test/fixtures/avif/", import.meta.url)
const read = (name: string) => readFileSync(new URL(name, folder))
const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0)

test.each([
  ["420", [17, 11], 60],
  ["420-limited", [16, 10], 60],
  ["422", [17, 11], 30],
  ["444", [17, 11], 0],
])("%s is within 1 of Pillow, and as libheif has it, further away", async (name, size, distance) => {
  const bytes = read(`${name}.avif`)
  const expected = read(`${name}.rgb`)
  const picture = await decodeImage(bytes)
  expect([picture.width, picture.height]).toEqual(size)
  expect(picture.data).toHaveLength(expected.length)
  expect(largestDifference(picture.data, expected)).toBeLessThanOrEqual(1)
  const plain = await sharp(bytes).removeAlpha().raw().toBuffer()
  expect(largestDifference(plain, expected)).toBeGreaterThanOrEqual(distance)
  expect(asPlanes(bytes) === null).toBe(name === "444")
  expect(bytes.equals(read(`${name}.avif`))).toBe(true)
})

test("what the boxes do not tell is left as it is: colours, tiles, animations, other depths and matrices", () => {
  const bytes = read("420.avif")
  const changed = (from: string, to: string) => Buffer.from(bytes.toString("latin1").replace(from, to), "latin1")
  expect(asPlanes(bytes)).toMatchObject({ colours: { red: 0.299, blue: 0.114, isFullRange: true }, isHalfHigh: true })
  expect(asPlanes(changed("nclx", "prof"))).toBeNull()
  expect(asPlanes(changed("av01", "grid"))).toBeNull()
  expect(asPlanes(Buffer.concat([bytes, Buffer.from("\0\0\0\x08moov", "latin1")]))).toBeNull()
  const codec = bytes.indexOf("av1C") + 6
  const deep = Buffer.from(bytes)
  deep[codec]! |= 0x40
  expect(asPlanes(deep)).toBeNull()
  const matrix = bytes.indexOf("nclx") + 9
  const other = Buffer.from(bytes)
  other[matrix] = 8
  expect(asPlanes(other)).toBeNull()
  other[matrix] = 1
  expect(asPlanes(other)?.colours).toEqual({ red: 0.2126, blue: 0.0722, isFullRange: true })
  for (let length = 0; length < bytes.length; length += 7) asPlanes(bytes.subarray(0, length))
})

test("planes whose colours differ between pixels that share one are not put together", () => {
  const gray = Uint8Array.from({ length: 4 * 2 * 3 }, (_, i) => (i % 3 === 1 ? 100 : 128))
  const about = { colours: { red: 0.299, blue: 0.114, isFullRange: true }, isHalfHigh: true }
  expect([...fromPlanes(image8(4, 2, gray), about)!.data]).toEqual(Array(24).fill(100))
  const odd = gray.slice()
  odd[3 * 5] = 129
  expect(fromPlanes(image8(4, 2, odd), about)).toBeNull()
  expect(fromPlanes(image8(4, 2, odd), { ...about, isHalfHigh: false })).toBeNull()
})
