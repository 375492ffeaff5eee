import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { crc32, deflateSync, gzipSync } from "node:zlib"
import sharp, { type SharpOptions } from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import { type Image8, image8 } from "../../core/image/pixels.ts"
import { type DecodeOptions, decodeHere, decodeImage, defaultMaxPixels } from "./images.ts"
import { pictureSize } from "./picture-size.ts"

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "images-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

const scene = smoothPicture(90, 60)
const encoded = (picture = scene) =>
  sharp(picture.data, { raw: { width: picture.width, height: picture.height, channels: 3 } })
const bytesOf = (image: Image8) => Buffer.from(image.data)
const largestDifference = (a: Image8, b: Image8) =>
  bytesOf(a).reduce((largest, value, i) => Math.max(largest, Math.abs(value - b.data[i]!)), 0)

function save(name: string, bytes: Uint8Array): string {
  writeFileSync(join(folder, name), bytes)
  return join(folder, name)
}

test("PNG and lossless WebP come back exactly, JPEG and WebP nearly", async () => {
  const png = await decodeImage(save("a.png", await encoded().png().toBuffer()))
  expect([png.width, png.height, png.channels]).toEqual([90, 60, 3])
  expect(bytesOf(png)).toEqual(bytesOf(scene))
  expect(bytesOf(await decodeImage(await encoded().webp({ lossless: true }).toBuffer()))).toEqual(bytesOf(scene))
  expect(largestDifference(await decodeImage(await encoded().webp({ quality: 95 }).toBuffer()), scene)).toBeLessThan(40)
  const jpeg = await decodeImage(save("a.jpg", await encoded().jpeg({ quality: 95 }).toBuffer()))
  expect(largestDifference(jpeg, scene)).toBeLessThan(20)
})

test("gray is repeated, alpha is dropped and not blended, 16 bits lose the lower 8", async () => {
  const gray = await decodeImage(
    await sharp(Buffer.of(0, 7, 255), raw(3, 1))
      .toColourspace("b-w")
      .png()
      .toBuffer(),
  )
  expect([...gray.data]).toEqual([0, 0, 0, 7, 7, 7, 255, 255, 255])
  const rgba = await decodeImage(
    await sharp(Buffer.of(10, 20, 30, 0, 40, 50, 60, 128), raw(2, 4))
      .png()
      .toBuffer(),
  )
  expect([...rgba.data]).toEqual([10, 20, 30, 40, 50, 60])
  const deep = await sharp(Uint16Array.of(0x01ff, 0x8000, 0xfffe), raw(1, 3))
    .toColourspace("rgb16")
    .png()
    .toBuffer()
  expect([...(await decodeImage(deep)).data]).toEqual([1, 128, 255])
})

test("a colour profile is not applied", async () => {
  const profiled = await encoded().withIccProfile("p3").png().toBuffer()
  const bare = withoutChunk(profiled, "iCCP")
  expect(bare.length).toBeLessThan(profiled.length)
  expect(bytesOf(await decodeImage(profiled))).toEqual(bytesOf(await decodeImage(bare)))
})

test("orientation is ignored unless asked for", async () => {
  const turned = await encoded().withMetadata({ orientation: 6 }).jpeg().toBuffer()
  const size = async (options?: DecodeOptions) => {
    const { width, height } = await decodeImage(turned, options)
    return [width, height]
  }
  expect(await size()).toEqual([90, 60])
  expect(await size({ exif: "apply" })).toEqual([60, 90])
})

// The order in which Pillow 12.3 gives the pixels 0 1 2 over 3 4 5.
test.each([
  ...([
    [1, [3, 2], [0, 1, 2, 3, 4, 5]],
    [2, [3, 2], [2, 1, 0, 5, 4, 3]],
    [3, [3, 2], [5, 4, 3, 2, 1, 0]],
    [4, [3, 2], [3, 4, 5, 0, 1, 2]],
  ] as const),
  ...([
    [5, [2, 3], [0, 3, 1, 4, 2, 5]],
    [6, [2, 3], [3, 0, 4, 1, 5, 2]],
    [7, [2, 3], [5, 2, 4, 1, 3, 0]],
    [8, [2, 3], [2, 5, 1, 4, 0, 3]],
  ] as const),
])("TIFF is turned by its orientation, unlike others: %i", async (orientation, size, order) => {
  const pixels = Uint8Array.from({ length: 18 }, (_, i) => 14 * i)
  const picture = sharp(pixels, { raw: { width: 3, height: 2, channels: 3 } }).withMetadata({ orientation })
  const bytes = await picture.tiff({ compression: "lzw" }).toBuffer()
  const turned = await decodeImage(bytes)
  expect([turned.width, turned.height]).toEqual(size)
  expect([...turned.data]).toEqual(order.flatMap((i) => [...pixels.subarray(3 * i, 3 * i + 3)]))
  expect(await pictureSize(bytes, "x")).toEqual({ width: size[0], height: size[1] })
  for (const other of [await picture.png().toBuffer(), await picture.webp({ lossless: true }).toBuffer()]) {
    expect((await sharp(other).metadata()).orientation).toBe(orientation)
    expect([...(await decodeImage(other)).data]).toEqual([...pixels])
  }
})

test.each([1, 2, 3, 4, 5, 6, 7, 8])("AVIF is not turned by its properties: %i", async (orientation) => {
  const options = { lossless: true, chromaSubsampling: "4:4:4" }
  const bytes = await encoded().withMetadata({ orientation }).avif(options).toBuffer()
  expect(["irot", "imir"].some((type) => bytes.includes(type))).toBe(orientation > 1)
  const copy = Buffer.from(bytes)
  const stored = await decodeImage(await encoded().avif(options).toBuffer())
  expect(bytesOf(await decodeImage(bytes))).toEqual(bytesOf(stored))
  expect(await pictureSize(bytes, "x")).toEqual({ width: 90, height: 60 })
  expect(bytes.equals(copy)).toBe(true)
  const { width } = await decodeImage(bytes, { exif: "apply" })
  expect(width).toBe(orientation > 4 ? 60 : 90)
})

test("an orientation that is none of the eight counts as none", async () => {
  const bytes = await encoded().withMetadata({ orientation: 6 }).tiff({ compression: "none" }).toBuffer()
  const at = bytes.indexOf(Buffer.from([0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0])) + 8
  for (const wrong of [0, 9, 300]) {
    bytes.writeUInt16LE(wrong, at)
    expect(bytesOf(await decodeImage(bytes, { animated: "refuse" }))).toEqual(bytesOf(scene))
    expect(await pictureSize(bytes, "x")).toEqual({ width: 90, height: 60 })
  }
})

test("the first frame of an animation is decoded", async () => {
  const frames = [
    scene,
    image8(
      90,
      60,
      scene.data.map((value) => 255 - value),
    ),
  ].map((frame) => encoded(frame).png().toBuffer())
  const animation = await sharp(await Promise.all(frames), { join: { animated: true } })
    .webp({ lossless: true })
    .toBuffer()
  expect((await sharp(animation).metadata()).pages).toBe(2)
  expect(bytesOf(await decodeImage(animation))).toEqual(bytesOf(scene))
})

test("a JPEG whose head promises pixels that cannot be in so few bytes is damaged, although it has an end", async () => {
  const honest = await sharp({ create: { width: 64, height: 64, channels: 3, background: "gray" } })
    .jpeg()
    .toBuffer()
  const frame = honest.indexOf(Buffer.from([0xff, 0xc0]))
  const lying = Buffer.from(honest)
  for (const at of [5, 7]) lying.writeUInt16BE(10_000, frame + at)
  await expectRefused(save("lying.jpg", lying), "is damaged or cut off")
  await expect(decodeHere(lying, { name: "a.jpg" })).rejects.toThrow("a.jpg is damaged or cut off")
  // As short as a picture can be: one colour, in progressive coding.
  const plain = { create: { width: 2000, height: 2000, channels: 3, background: "gray" } } as const
  const large = await sharp(plain).jpeg({ progressive: true, quality: 1 }).toBuffer()
  expect((await decodeImage(large)).width).toBe(2000)
})

test.each(["jpeg", "png", "webp"] as const)("a %s that is cut off is an error with its path", async (format) => {
  const whole = await encoded().toFormat(format).toBuffer()
  for (const part of [0.1, 0.5, 0.9]) {
    const path = save(`cut-${part}.${format}`, whole.subarray(0, Math.floor(whole.length * part)))
    await expectRefused(path, "is damaged or cut off")
  }
})

test("in this thread or in another, by either decoder: the same pixels and the same errors", async () => {
  const whole = await encoded().jpeg().toBuffer()
  const expected = bytesOf(await decodeImage(whole, { decoder: "sharp" }))
  expect(bytesOf(await decodeHere(whole))).toEqual(expected)
  expect(bytesOf(await decodeImage(whole))).toEqual(expected)
  const png = await encoded().png().toBuffer()
  expect(bytesOf(await decodeHere(png))).toEqual(bytesOf(scene))
  for (const options of [{ maxPixels: 5399 }, { maxPixels: 5399, decoder: "sharp" }] as const) {
    await expect(decodeHere(whole, { ...options, name: "a.jpg" })).rejects.toThrow("a.jpg has 90 x 60 pixels")
  }
  await expect(decodeHere(whole.subarray(0, 500), { name: "a.jpg" })).rejects.toThrow("a.jpg is damaged or cut off")
  await expect(decodeHere(new Uint8Array(0), { name: "a.jpg" })).rejects.toThrow("a.jpg is empty")
})

test("a file that is not a picture is an error with its path", async () => {
  await expectRefused(
    save("text.jpg", Buffer.from("This is not a picture, whatever its name says.")),
    "is not a picture",
  )
  await expectRefused(save("empty.png", Buffer.alloc(0)), "is empty")
  await expectRefused(join(folder, "missing.jpg"), "does not exist")
  await expectRefused(folder, "is a folder")
  await expect(decodeImage(Buffer.from("nothing"), { name: "shard.tar:7.jpg" })).rejects.toThrow(/^shard.tar:7.jpg is/)
})

test("only pictures are given to libvips, which opens drawings, documents and tables too", async () => {
  const svg = Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>`,
  )
  expect((await sharp(svg).metadata()).format).toBe("svg")
  const xml = Buffer.concat([Buffer.from("\ufeff  <?xml version='1.0'?><!-- a -->\n"), svg])
  const ppm = Buffer.concat([Buffer.from("P6 1 1 255\n"), Buffer.from([1, 2, 3])])
  const others = {
    svg,
    svgz: gzipSync(svg),
    xml,
    ppm,
    pdf: "%PDF-1.4\n",
    hdr: "#?RADIANCE\n",
    csv: "1,2\n3,4\n",
    fits: "SIMPLE  =",
  }
  for (const [name, bytes] of Object.entries(others)) {
    const path = save(`${name}.jpg`, Buffer.from(bytes))
    await expectRefused(path, "is not a picture")
    await expect(pictureSize(Buffer.from(bytes), "x")).rejects.toThrow("x is not a picture")
  }
  await expectRefused(save("a.bmp", Buffer.from("BM123456")), "is a BMP picture, which cannot be read")
  const heic = Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic")
  await expectRefused(save("a.heic", heic), "is damaged or cut off")
  for (const format of ["jpeg", "png", "webp", "avif", "tiff", "gif"] as const) {
    const bytes = await encoded().toFormat(format).toBuffer()
    expect((await decodeImage(bytes)).width).toBe(90)
    expect(await pictureSize(bytes, "x")).toEqual({ width: 90, height: 60 })
  }
  expect((await decodeImage(await encoded().tiff({ bigtiff: true }).toBuffer())).width).toBe(90)
})

test("20,000 x 20,000 pixels are refused by their header, saying the limit", async () => {
  const path = save("huge.png", pngHeader(20_000, 20_000))
  const error = await expectRefused(path, "has 20000 x 20000 pixels, more than the limit of 100,000,000")
  expect(error.hint).toContain("maxPixels")
  const small = save("small.png", await encoded().png().toBuffer())
  await expectRefused(small, "90 x 60 pixels, more than the limit of 5,399", { maxPixels: 5399 })
  expect((await decodeImage(small, { maxPixels: 5400 })).width).toBe(90)
})

test.each([
  ["JPEG", () => encoded().jpeg().toBuffer(), 300, defaultMaxPixels],
  ["TIFF", () => encoded().withMetadata({ orientation: 6 }).tiff().toBuffer(), 100, 1e6],
  ["AVIF", async () => readFileSync(new URL("../../../test/fixtures/avif/420.avif", import.meta.url)), 200, 1e6],
] as const)("random damage of a %s gives a picture or a UserError", async (_, encode, times, maxPixels) => {
  const random = new Random(3)
  const whole = await encode()
  for (let i = 0; i < times; i++) {
    const bytes = Buffer.from(whole)
    for (let n = random.int(4); n >= 0; n--) bytes[random.int(bytes.length)] = random.int(256)
    const error = await decodeImage(bytes, { maxPixels }).then(
      () => null,
      (error: unknown) => error,
    )
    if (error && !(error instanceof UserError)) throw error
  }
})

test("a JPEG with more passes over its pixels than any picture needs is refused, by either decoder", async () => {
  const whole = await encoded().jpeg({ progressive: true }).toBuffer()
  const scans = [...whole.keys()].filter((i) => whole[i] === 0xff && whole[i + 1] === 0xda)
  const withScans = (count: number) => {
    const more = Array.from({ length: count - scans.length }, () => whole.subarray(scans.at(-1), -2))
    return Buffer.concat([whole.subarray(0, -2), ...more, whole.subarray(-2)])
  }
  for (const decoder of ["fastest", "sharp"] as const) {
    await expectRefused(save("scans.jpg", withScans(101)), "has more than 100 scans", { decoder })
    await expectRefused(save("cut.jpg", withScans(101).subarray(0, -9)), "more than 100 scans", {
      ...{ decoder, truncated: "accept" },
    })
  }
  // What comes after the end of the picture is not read.
  const behind = Buffer.concat([whole, ...Array.from({ length: 200 }, () => Buffer.of(0xff, 0xda, 0, 2))])
  expect((await decodeImage(behind, { decoder: "sharp" })).width).toBe(90)
})

async function expectRefused(path: string, reason: string, options?: DecodeOptions): Promise<UserError> {
  const error = await decodeImage(path, options).then(
    () => null,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(UserError)
  const { message } = error as UserError
  expect(message).toContain(reason)
  expect(message.startsWith(path)).toBe(true)
  expect(message).not.toContain("\n")
  return error as UserError
}

function smoothPicture(width: number, height: number): Image8 {
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)]
    data.set([(x * 255) / width, (y * 255) / height, 128 + 100 * Math.sin((x + y) / 15)], i * 3)
  }
  return image8(width, height, data)
}

function raw(width: number, channels: 1 | 3 | 4): SharpOptions {
  return { raw: { width, height: 1, channels } }
}

/** A PNG that promises this size and has no pixels. */
function pngHeader(width: number, height: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header[8] = 1
  const signature = Buffer.from("89504e470d0a1a0a", "hex")
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync("")),
    chunk("IEND", Buffer.alloc(0)),
  ])
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data])
  const bytes = Buffer.alloc(body.length + 8)
  bytes.writeUInt32BE(data.length, 0)
  body.copy(bytes, 4)
  bytes.writeUInt32BE(crc32(body), body.length + 4)
  return bytes
}

function withoutChunk(png: Buffer, type: string): Buffer {
  const start = png.indexOf(type) - 4
  return Buffer.concat([png.subarray(0, start), png.subarray(start + 12 + png.readUInt32BE(start))])
}
