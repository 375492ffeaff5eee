/** What comes straight from a file is what comes from the whole picture: `decode` in jpeg/index.test.ts is compared with another decoder. */
import { readdirSync, readFileSync } from "node:fs"
import sharp, { type JpegOptions } from "sharp"
import { expect, test } from "vitest"
import { isJpeg, jpegDecoder } from "../../jpeg/index.ts"
import { Random } from "../core/arrays/random.ts"
import { centerBox, image8 } from "../core/image/pixels.ts"
import { type Preprocessing, preprocess } from "../core/image/preprocess.ts"
import { shortestSide } from "../core/image/resize.ts"
import { tapsOf } from "../core/image/taps.ts"
import { decodeImage } from "../host/image/images.ts"
import { denominatorFor, planOf } from "./pixel-plan.ts"
import { preparePixels } from "./prepare-pixels.ts"

const random = new Random(3)
const unit = { mean: [0, 0, 0], std: [1, 1, 1] } as const
const small: Preprocessing = { size: 32, interpolation: "bilinear", ...unit }
const other: Preprocessing = { size: 21, interpolation: "bicubic", mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.3] }

function photograph(width: number, height: number, options: JpegOptions): Promise<Buffer> {
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => (((i % 280) / 2 + i / 97) % 200) + random.int(50),
  )
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg(options)
    .toBuffer()
}

const room = (all: readonly Preprocessing[]) =>
  all.map((preprocessing) => ({ preprocessing, out: new Float32Array(3 * preprocessing.size ** 2) }))

/** In both ways of the addon. */
async function direct(file: Uint8Array, all: readonly Preprocessing[]): Promise<Float32Array[]> {
  const [here, beside] = [room(all), room(all)]
  const size = jpegDecoder!.decode(file, 0)!
  expect(jpegDecoder!.prepare(file, planOf(size, here))).toBe(true)
  expect(await jpegDecoder!.prepareAsync(file, planOf(size, beside))).toBe(true)
  expectSame(
    here.map(({ out }) => out),
    beside.map(({ out }) => out),
    "in another thread",
  )
  return here.map(({ out }) => out)
}

/** To the last bit. */
function expectSame(found: readonly Float32Array[], wanted: readonly Float32Array[], what: string): void {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength)
  expect(found.length).toBe(wanted.length)
  expect(
    found.filter((each, i) => !bytes(each).equals(bytes(wanted[i]!))),
    what,
  ).toEqual([])
}

async function whole(file: Uint8Array, all: readonly Preprocessing[]): Promise<Float32Array[]> {
  const image = await decodeImage(file, { decoder: "sharp" })
  return all.map((each) => preprocess(image, each))
}

const kinds: Readonly<Record<string, JpegOptions>> = {
  "4:2:0": { quality: 80 },
  "4:4:4": { chromaSubsampling: "4:4:4", quality: 95 },
  progressive: { progressive: true, quality: 60 },
}

test.each(Object.keys(kinds))("%s: pictures of many sizes, for two models at once, to the last bit", async (kind) => {
  // One pixel wide or high, far longer than wide, smaller than what is wanted, and at borders of blocks.
  const sizes = [
    [1, 1],
    [1, 90],
    [200, 3],
    [31, 33],
    [64, 48],
    [47, 65],
    [640, 480],
    [300, 801],
  ] as const
  const drawn = Array.from({ length: 12 }, () => [1 + random.int(300), 1 + random.int(200)] as const)
  for (const [width, height] of [...sizes, ...drawn]) {
    const file = await photograph(width, height, kinds[kind]!)
    expectSame(await direct(file, [small, other]), await whole(file, [small, other]), `${width} x ${height}`)
  }
})

test("gray pictures", async () => {
  const gray = await sharp(await photograph(150, 99, {}))
    .toColourspace("b-w")
    .jpeg()
    .toBuffer()
  expectSame(await direct(gray, [small]), await whole(gray, [small]), "gray")
})

/** Written by libjpeg with the sampling factors of their names, sharp edges in saturated colours. */
const fixtures = new URL("../../test/fixtures/jpeg-sampling/", import.meta.url)

test.each(readdirSync(fixtures))("colours at other sizes, restart markers: %s", async (name) => {
  const file = readFileSync(new URL(name, fixtures))
  const sizes = [8, 21, 57, 101, 150].map((size) => ({ ...small, size }))
  for (const size of sizes) expectSame(await direct(file, [size]), await whole(file, [size]), `${size.size}`)
})

/** With the columns around what is wanted, and without them. */
function expectSameWithoutColumns(file: Uint8Array): void {
  const size = jpegDecoder!.decode(file, 0)!
  for (const denominator of [1, 2, 4, 8] as const) {
    const [parts, wholes] = [room([small, other]), room([small, other])]
    const plan = planOf(size, parts, denominator)
    const whole = { ...planOf(size, wholes, denominator), left: 0, right: plan.width, top: 0, bottom: plan.height }
    expect(jpegDecoder!.prepare(file, plan) && jpegDecoder!.prepare(file, whole)).toBe(true)
    expectSame(
      parts.map(({ out }) => out),
      wholes.map(({ out }) => out),
      `1 / ${denominator}`,
    )
  }
}

test.each(readdirSync(fixtures))(
  "columns that are not decoded have no influence, at any scale of the decoder: %s",
  (name) => {
    expectSameWithoutColumns(readFileSync(new URL(name, fixtures)))
  },
)

test("a file that is cut off or damaged anywhere is refused as the whole decode refuses it, however little is wanted", async () => {
  const whole = await photograph(60, 400, { quality: 70 })
  const outcomes = { prepared: 0, refused: 0 }
  for (let i = 0; i < 300; i++) {
    const file = Buffer.from(i % 2 ? whole : whole.subarray(0, whole.length - 1 - random.int(whole.length / 4)))
    if (i % 2) for (let n = random.int(3); n >= 0; n--) file[random.int(file.length)] = random.int(256)
    const decoded = jpegDecoder!.decode(file, 1e6)
    if (!isJpeg(file) || (decoded && (decoded.width !== 60 || decoded.height !== 400))) continue
    const wanted = room([small])
    const isPrepared = jpegDecoder!.prepare(file, planOf({ width: 60, height: 400 }, wanted))
    expect(isPrepared).toBe(decoded !== null)
    outcomes[isPrepared ? "prepared" : "refused"]++
    if (decoded) expect(wanted[0]!.out).toEqual(preprocess(image8(60, 400, decoded.data!), small))
  }
  expect(outcomes.prepared).toBeGreaterThan(10)
  expect(outcomes.refused).toBeGreaterThan(100)
})

test("a plan whose arrays do not fit the picture is refused, and so is a file of another size", async () => {
  const file = await photograph(50, 40, {})
  const plan = planOf({ width: 50, height: 40 }, room([small]))
  const [target] = plan.targets as [(typeof plan.targets)[number]]
  const bad = [
    { ...plan, left: 30 },
    { ...plan, right: 51, width: 50 },
    { ...plan, targets: [{ ...target, out: new Float32Array(5) }] },
    { ...plan, targets: [{ ...target, values: new Float32Array(700) }] },
    { ...plan, targets: [{ ...target, columns: { ...target.columns, starts: target.columns.starts.map(() => 49) } }] },
    { ...plan, targets: [{ ...target, rows: { ...target.rows, weights: new Int32Array(3) } }] },
  ]
  for (const each of bad) expect(() => jpegDecoder!.prepare(file, each)).toThrow(TypeError)
  expect(jpegDecoder!.prepare(file, planOf({ width: 51, height: 40 }, room([small])))).toBe(false)
})

test("a noted orientation is followed where that is asked for, and another one than as stored takes the longer way", async () => {
  for (const orientation of [1, 6]) {
    const file = await sharp(await photograph(120, 77, {}))
      .withMetadata({ orientation })
      .jpeg()
      .toBuffer()
    for (const exif of ["apply", "ignore"] as const) {
      const image = await decodeImage(file, { exif, decoder: "sharp" })
      expect(image.width).toBe(orientation === 6 && exif === "apply" ? 77 : 120)
      for (const where of ["here", "beside"] as const) {
        const wanted = room([small])
        await preparePixels(file, wanted, { name: "x", exif }, where)
        expectSame([wanted[0]!.out], [preprocess(image, small)], `${orientation}, ${exif}, ${where}`)
      }
    }
  }
})

async function pixelsOf(file: Uint8Array, scaled: boolean): Promise<Float32Array> {
  const wanted = room([small])
  await preparePixels(file, wanted, { name: "x", scaled }, "here")
  return wanted[0]!.out
}

test.each([
  [500, 333],
  [333, 501],
  [1003, 701],
])("of %i x %i pixels, what the decoder made smaller has the place of the exact picture", async (width, height) => {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)]
    return 128 + 60 * Math.sin(x / 9) + 60 * Math.cos(y / 11)
  })
  const file = await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 95 })
    .toBuffer()
  const [exact, scaled] = await Promise.all([false, true].map((scaled) => pixelsOf(file, scaled)))
  const differences = exact!.map((value, i) => Math.abs(value - scaled![i]!))
  // Of waves as wide as these the filters leave the same: half a pixel's shift of the result makes 12.
  expect(Math.max(...differences)).toBeLessThan(4 / 255)
})

test("the decoder's own scaling leaves twice what is wanted, changes pixels little, and is left out of small pictures", async () => {
  expect(
    [100, 128, 300, 600, 5000].map((side) => denominatorFor({ width: 9000, height: side }, room([small]))),
  ).toEqual([1, 2, 4, 8, 8])
  const file = await sharp(await photograph(40, 30, {}))
    // No multiples of 8: sizes are rounded up.
    .resize(1203, 901)
    .jpeg({ quality: 90 })
    .toBuffer()
  const [exact, scaled] = await Promise.all([false, true].map((scaled) => pixelsOf(file, scaled)))
  const differences = exact!.map((value, i) => Math.abs(value - scaled![i]!))
  expect(Math.max(...differences)).toBeGreaterThan(0)
  // A resize in two steps has another filter: 2.6 of 255 in the mean where noise of two pixels is what is left.
  expect(differences.reduce((a, b) => a + b) / differences.length).toBeLessThan(4 / 255)
})

test("weights of a size are kept, and those of many sizes are the same when they come again", () => {
  const sizes = Array.from({ length: 80 }, (_, i) => ({ width: 300 + 7 * (i % 40), height: 280 + 3 * (i % 40) }))
  const wanted = [{ preprocessing: other, out: new Float32Array(3 * other.size ** 2) }]
  const targets = sizes.map((size) => planOf(size, wanted).targets[0]!)
  for (const [i, { width, height }] of sizes.entries()) {
    const to = shortestSide({ width, height }, other.size)
    const { left, top } = centerBox(to.width, to.height, other.size)
    expect(targets[i]!.columns).toEqual(tapsOf(width, to.width, left, other.size, other.interpolation))
    expect(targets[i]!.rows).toEqual(tapsOf(height, to.height, top, other.size, other.interpolation))
  }
  expect(planOf(sizes.at(-1)!, wanted).targets[0]!.columns).toBe(targets.at(-1)!.columns)
})
