import { readFileSync } from "node:fs"
import sharp, { type Sharp } from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { TestPage } from "../../../test/browser/open-page.ts"
import { strictPolicy } from "../../../test/browser/site.ts"
import { Random } from "../../core/arrays/random.ts"
import { decodeImage } from "../../host/image/images.ts"
import { statedSize } from "./stated-size.ts"

/** Waves and noise with soft and hard edges, and every alpha. Odd sizes, so that blocks of colours are cut. */
const [width, height] = [61, 43]

function picture(channels: 3 | 4): Sharp {
  const random = Random.of(0, "decode")
  const data = Uint8Array.from({ length: width * height * channels }, (_, i) => {
    const [x, y, c] = [Math.floor(i / channels) % width, Math.floor(i / channels / width), i % channels]
    if (c === 3) return (x * 5) & 255
    return 128 + 80 * Math.sin((x * (c + 1)) / 7) * Math.cos(y / (5 + c)) + random.uniform(-40, 40)
  })
  return sharp(data, { raw: { width, height, channels } })
}

const jpeg = (options: object) => picture(3).jpeg({ quality: 85, ...options })

/** Colours with fewer columns or rows. */
const sampled = (name: string) => readFileSync(new URL(`../../../test/fixtures/jpeg-sampling/${name}`, import.meta.url))

/** The largest difference from Node's pixels. */
const cases: readonly (readonly [name: string, made: Sharp | Buffer, largest: number])[] = [
  ["444.jpg", jpeg({ chromaSubsampling: "4:4:4" }), 0],
  ["420.jpg", jpeg({ chromaSubsampling: "4:2:0" }), 0],
  ["422.jpg", sampled("422.jpg"), 0],
  ["422-progressive-restarts.jpg", sampled("422-progressive-restarts.jpg"), 0],
  ["411.jpg", sampled("411.jpg"), 0],
  ["410.jpg", sampled("410.jpg"), 0],
  // Rows of colours are interpolated with another rounding than in newer versions of libjpeg-turbo.
  ["440.jpg", sampled("440.jpg"), 2],
  ["progressive.jpg", jpeg({ progressive: true }), 0],
  ["gray.jpg", picture(3).grayscale().toColourspace("b-w").jpeg(), 0],
  ["turned.jpg", jpeg({}).withMetadata({ orientation: 6 }), 0],
  ["profile.jpg", jpeg({}).withIccProfile("p3"), 0],
  // The browser's formula rounds otherwise than Pillow's.
  ["cmyk.jpg", picture(3).toColourspace("cmyk").jpeg(), 1],
  ["rgb.png", picture(3).png(), 0],
  ["alpha.png", picture(4).png(), 0],
  ["palette.png", picture(3).png({ palette: true }), 0],
  ["gray.png", picture(3).grayscale().toColourspace("b-w").png(), 0],
  ["16-bit.png", picture(3).toColourspace("rgb16").png(), 0],
  ["turned.png", picture(3).withMetadata({ orientation: 6 }).png(), 0],
  ["lossless.webp", picture(4).webp({ lossless: true, exact: true }), 0],
  ["lossy.webp", picture(3).webp({ quality: 80 }), 0],
  ["turned.webp", picture(3).withMetadata({ orientation: 8 }).webp(), 0],
  ["frame.gif", picture(3).gif(), 0],
  // libyuv's fixed point against libheif's.
  ["444.avif", picture(3).avif({ quality: 80, chromaSubsampling: "4:4:4" }), 1],
]

/** Red grows to the right and green downwards: each of the eight ways to hold a camera gives another picture. */
const slopes = sharp(
  Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)]
    return [4 * x, 5 * y, 128][i % 3]!
  }),
  { raw: { width, height, channels: 3 } },
)

const orientations = [1, 2, 3, 4, 5, 6, 7, 8]
const turnedBy = (orientation: number) => {
  const turned = slopes.clone().withMetadata({ orientation })
  const jpeg = turned.clone().jpeg({ quality: 95, chromaSubsampling: "4:4:4" })
  return { jpeg, png: turned.clone().png() }
}

let opened: TestPage
const files: Record<string, Uint8Array> = {}

beforeAll(async () => {
  for (const [name, made] of cases) files[name] = Buffer.isBuffer(made) ? made : await made.toBuffer()
  for (const orientation of orientations)
    for (const [format, made] of Object.entries(turnedBy(orientation)))
      files[`${orientation}.${format}`] = await made.toBuffer()
  files["large.png"] = await sharp({ create: { width: 20_001, height: 1, channels: 3, background: "teal" } })
    .png()
    .toBuffer()
  opened = await TestPage.open({ files, headers: { "Content-Security-Policy": strictPolicy } })
})
afterAll(() => opened?.[Symbol.asyncDispose]())

/** As the worker decodes them. */
function decodeInPage(name: string, decode: "exact" | "browser", orientation: "ignore" | "apply" = "ignore") {
  return opened.page.evaluate(
    async ({ name, decode, orientation }) => {
      const url = new URL(name, document.baseURI).href
      const jpeg = decode === "exact" ? new mobileclip.JpegDecoder("/worker/mozjpeg_dec.wasm") : null
      const how = { jpeg, orientation, maxPixels: 20_000 }
      const { width, height, data } = await mobileclip.decodePicture({ kind: "address", name: "picture", url }, how)
      return { width, height, data: [...data] }
    },
    { name, decode, orientation },
  )
}

test.each(cases)("%s has the pixels that Node gives", async (name, _, largest) => {
  const expected = await decodeImage(files[name]!, { name })
  for (const decode of ["exact", "browser"] as const) {
    const found = await decodeInPage(name, decode)
    expect([found.width, found.height]).toEqual([expected.width, expected.height])
    const differences = found.data.map((value, i) => Math.abs(value - expected.data[i]!))
    // Chromium has libjpeg-turbo itself; other browsers need not.
    expect(Math.max(...differences), decode).toBeLessThanOrEqual(largest)
  }
})

test.each(orientations)("orientation %i is applied as in Node, where that is asked for", async (orientation) => {
  for (const format of ["jpeg", "png"]) {
    const name = `${orientation}.${format}`
    const expected = await decodeImage(files[name]!, { exif: "apply" })
    for (const decode of ["exact", "browser"] as const) {
      const found = await decodeInPage(name, decode, "apply")
      expect([found.width, found.height], `${format} ${decode}`).toEqual([expected.width, expected.height])
      const differences = found.data.map((value, i) => Math.abs(value - expected.data[i]!))
      expect(Math.max(...differences), `${format} ${decode}`).toBe(0)
    }
  }
})

test("a picture above the limit is refused by its file's first bytes, whatever its format", async () => {
  for (const [name] of cases) {
    const { width, height } = await decodeImage(files[name]!, { name })
    expect(statedSize(files[name]!), name).toEqual({ width, height })
  }
  const refused = decodeInPage("large.png", "exact").catch((error: Error) => error.message)
  expect(await refused).toContain("has 20001 x 1 pixels, more than the limit of 20,000")
})
