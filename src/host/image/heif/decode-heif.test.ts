/**
 * The pixels of test/fixtures/heif are those of heif-convert 1.15 with libde265; heif-enc 1.15 made the pictures, and
 * test/heif-file.ts put tiles of it together where libheif 1.15 could not (grid, irot, imir). libheif 1.23 rounds colours otherwise.
 */
import { readFileSync } from "node:fs"
import sharp from "sharp"
import { expect, test } from "vitest"
import { heifFile, tileOf } from "../../../../test/heif-file.ts"
import { Random } from "../../../core/arrays/random.ts"
import { UserError } from "../../../core/errors.ts"
import { type Image8, image8 } from "../../../core/image/pixels.ts"
import { decodeHere, decodeImage } from "../images.ts"
import { type Orientation, turned } from "../orientation.ts"
import { pictureFormat } from "../picture-format.ts"
import { pictureSize } from "../picture-size.ts"
import { boxesBelow } from "./boxes.ts"
import { withLibheif } from "./libheif.ts"

const folder = new URL("../../../../test/fixtures/heif/", import.meta.url)
const read = (name: string) => readFileSync(new URL(name, folder))
const plain = read("plain.heic")
const tile = tileOf(read("tile.heic"))
const twoTiles = { tiles: [tile, tile], side: 64, columns: 2, width: 90, height: 40 }

async function expected(name: string): Promise<Image8> {
  const { data, info } = await sharp(read(`${name}.png`))
    .raw()
    .toBuffer({ resolveWithObject: true })
  return image8(info.width, info.height, data)
}

function expectNear(found: Image8, wanted: Image8, tolerance: number): void {
  expect([found.width, found.height]).toEqual([wanted.width, wanted.height])
  const largest = Buffer.from(found.data).reduce(
    (most, value, i) => Math.max(most, Math.abs(value - wanted.data[i]!)),
    0,
  )
  expect(largest).toBeLessThanOrEqual(tolerance)
}

const names = ["plain", "odd", "444", "10-bit", "alpha", "gray", "grid", "irot-1", "irot-3-imir-1", "exif-6"]

test.each(names)("%s: the pixels of libheif's program, turned or not by EXIF, here or beside", async (name) => {
  const wanted = await expected(name)
  const bytes = read(`${name}.heic`)
  for (const exif of ["ignore", "apply"] as const) {
    for (const decode of [decodeImage, decodeHere]) expectNear(await decode(bytes, { exif }), wanted, 2)
  }
  expect(await pictureSize(bytes, name)).toEqual({ width: wanted.width, height: wanted.height })
})

// Properties apply in their order: first the quarter turns against the clock, then the mirror.
test.each([
  ...[[{}, 1] as const, [{ turns: 1 }, 8] as const, [{ turns: 2 }, 3] as const, [{ turns: 3 }, 6] as const],
  ...[[{ mirror: 1 }, 2] as const, [{ mirror: 0 }, 4] as const],
  ...[[{ turns: 1, mirror: 0 }, 5] as const, [{ turns: 3, mirror: 0 }, 7] as const],
])("%j is EXIF's orientation %i", async (turns, orientation) => {
  const stored = await decodeHere(heifFile(twoTiles))
  expectNear(await decodeHere(heifFile({ ...twoTiles, ...turns })), turned(stored, orientation as Orientation), 0)
})

test("a colour profile is not applied, as phones write Display P3", async () => {
  const drawing = sharp({ create: { width: 8, height: 8, channels: 3, background: "red" } })
  const { icc } = await sharp(await drawing.withIccProfile("p3").png().toBuffer()).metadata()
  const profiled = heifFile({ ...twoTiles, profile: icc! })
  expect([...boxesBelow(profiled, ["meta", "iprp", "ipco"])].map(({ type }) => type)).toContain("colr")
  expectNear(await decodeHere(profiled), await decodeHere(heifFile(twoTiles)), 0)
})

test("a grid of 192 tiles, as phones write 48 million pixels", async () => {
  const many = { ...twoTiles, tiles: Array(192).fill(tile), columns: 16, width: 1020, height: 760 }
  const one = await decodeHere(heifFile({ ...twoTiles, tiles: [tile], columns: 1, width: 64, height: 64 }))
  const picture = await decodeHere(heifFile(many))
  const pixel = ({ data, width }: Image8, x: number, y: number) => [
    ...data.subarray(3 * (y * width + x)).subarray(0, 3),
  ]
  for (const [x, y] of [
    [0, 0],
    [1019, 759],
    [700, 333],
    [63, 64],
  ] as const) {
    expect(pixel(picture, x, y)).toEqual(pixel(one, x % 64, y % 64))
  }
})

test("it is known by its first bytes, whatever brand comes first", () => {
  for (const brand of ["heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1"]) {
    const file = Buffer.from(plain)
    file.write(brand, 8)
    expect(pictureFormat(file)).toBe("heic")
    file.write("abcd", 8)
    expect(pictureFormat(file)).toBe("heic")
  }
  expect(pictureFormat(Buffer.from("\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\0\x08free"))).toBeNull()
})

test("the limit of pixels is that of the turned picture, before it is decoded", async () => {
  const large = heifFile({ ...twoTiles, turns: 1, width: 30_000, height: 20_000 })
  expect(await pictureSize(large, "x")).toEqual({ width: 20_000, height: 30_000 })
  for (const decode of [decodeImage, decodeHere]) {
    await expect(decode(large, { name: "x" })).rejects.toThrow(
      "x has 20000 x 30000 pixels, more than the limit of 100,000,000",
    )
    await expect(decode(plain, { name: "x", maxPixels: 959 })).rejects.toThrow("x has 40 x 24 pixels")
    expect((await decode(plain, { maxPixels: 960 })).width).toBe(40)
  }
})

test("a tile that has more pixels than it says is refused before they are decoded", async () => {
  const lie = { ...twoTiles, side: 16, width: 32, height: 16 }
  await expect(decodeHere(heifFile(lie), { name: "x" })).rejects.toThrow("x is damaged or cut off")
})

test("a file that is cut off anywhere is refused in one line", async () => {
  for (const name of ["plain", "grid", "alpha"]) {
    const whole = read(`${name}.heic`)
    for (let length = 12; length < whole.length; length += 5) {
      const error = await decodeHere(whole.subarray(0, length), { name: "a.heic" }).catch((error: unknown) => error)
      expect(error).toBeInstanceOf(UserError)
      expect((error as UserError).message).toMatch(/^a\.heic is (damaged or cut off|not a picture)$/)
    }
  }
})

test("random damage gives a picture or a UserError, and leaves no memory taken", async () => {
  const random = new Random(5)
  const sizes = new Set<number>()
  const outcomes = { read: 0, refused: 0 }
  for (const name of ["plain", "grid", "10-bit", "irot-1"]) {
    const whole = read(`${name}.heic`)
    for (let i = 0; i < 150; i++) {
      const bytes = Buffer.from(whole)
      for (let n = random.int(4); n >= 0; n--) bytes[random.int(bytes.length)] = random.int(256)
      const error = await decodeHere(bytes, { maxPixels: 1e6 }).then(
        () => null,
        (error: unknown) => error,
      )
      if (error && !(error instanceof UserError)) throw error
      outcomes[error ? "refused" : "read"]++
      sizes.add(await withLibheif(({ HEAPU8 }) => HEAPU8.length))
    }
  }
  expect(Math.min(outcomes.read, outcomes.refused)).toBeGreaterThan(50)
  // Its memory never shrinks: what is not freed shows. A million pixels and their frame take less than 20 MB.
  expect(Math.max(...sizes)).toBeLessThan(40e6)
})

test("an instance that broke is replaced, and so is one that became large", async () => {
  const instances = new Set<unknown>()
  const current = () => withLibheif((heif) => instances.add(heif))
  await current()
  await decodeHere(plain)
  await expect(decodeHere(plain.subarray(0, 500))).rejects.toThrow("is damaged or cut off")
  await current()
  expect(instances.size).toBe(1)
  await expect(withLibheif(() => Number(undefined).toFixed(101))).rejects.toThrow(RangeError)
  await current()
  expect(instances.size).toBe(2)
  await withLibheif((heif) => heif._free(heif._malloc(200e6)))
  await current()
  expect(instances.size).toBe(3)
  expectNear(await decodeHere(plain), await expected("plain"), 2)
})

test("another coding in a HEIF file is named as such", async () => {
  const avif = readFileSync(new URL("../avif/444.avif", folder)).toString("latin1")
  const bytes = Buffer.from(avif.replaceAll("avif", "mif1"), "latin1")
  expect(pictureFormat(bytes)).toBe("heic")
  await expect(decodeHere(bytes, { name: "x" })).rejects.toThrow("x is a HEIF picture of a kind that cannot be read")
})
