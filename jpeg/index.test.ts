import { once } from "node:events"
import { Worker } from "node:worker_threads"
import sharp, { type JpegOptions } from "sharp"
import { expect, test } from "vitest"
import { Random } from "../src/core/arrays/random.ts"
import { decodeImage } from "../src/host/image/images.ts"
import { builtAddon } from "../src/native/addon.ts"
import { isJpeg, jpegDecoder } from "./index.ts"
import { jpegAddon } from "./paths.ts"

const addonFile = builtAddon(jpegAddon)?.file

const [width, height] = [93, 61]
const random = new Random(5)
const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i % 280) / 2 + random.int(60))
const picture = () => sharp(pixels, { raw: { width, height, channels: 3 } })
const encoded = (options: JpegOptions) => picture().jpeg(options).toBuffer()

const kinds = {
  "4:2:0": await encoded({}),
  "4:4:4": await encoded({ chromaSubsampling: "4:4:4", quality: 95 }),
  progressive: await encoded({ progressive: true, quality: 40 }),
  gray: await picture().toColourspace("b-w").jpeg().toBuffer(),
  turned: await picture().withMetadata({ orientation: 6 }).jpeg().toBuffer(),
}

test("the addon is built", () => {
  expect(jpegDecoder).not.toBeNull()
})

test.each(Object.keys(kinds) as (keyof typeof kinds)[])("%s: the pixels of the other decoder", async (kind) => {
  const expected = Buffer.from((await decodeImage(kinds[kind], { decoder: "sharp" })).data)
  const decoded = jpegDecoder!.decode(kinds[kind], width * height)!
  expect([decoded.width, decoded.height]).toEqual([width, height])
  expect(Buffer.compare(decoded.data!, expected)).toBe(0)
  const later = await jpegDecoder!.decodeAsync(kinds[kind], width * height)
  expect(Buffer.compare(later!.data!, expected)).toBe(0)
})

test("only the size is read of a picture with too many pixels", () => {
  expect(jpegDecoder!.decode(kinds["4:2:0"], width * height - 1)).toEqual({ width, height, data: null })
})

test("files that are cut off, have four colours or are not JPEG are left to others", async () => {
  const whole = kinds["4:2:0"]
  expect(jpegDecoder!.decode(whole.subarray(0, -2), 1e6)).toBeNull()
  expect(jpegDecoder!.decode(whole.subarray(0, whole.length / 2), 1e6)).toBeNull()
  expect(jpegDecoder!.decode(await picture().toColourspace("cmyk").jpeg().toBuffer(), 1e6)).toBeNull()
  expect(jpegDecoder!.decode(await picture().png().toBuffer(), 1e6)).toBeNull()
  expect(await jpegDecoder!.decodeAsync(new Uint8Array(0), 1e6)).toBeNull()
})

test("wrong arguments are a TypeError", () => {
  const decode = jpegDecoder!.decode as unknown as (...args: unknown[]) => unknown
  const decodeAsync = jpegDecoder!.decodeAsync as unknown as (...args: unknown[]) => unknown
  for (const args of [[], ["text", 1], [new Float32Array(4), 1], [new Uint8Array(4)], [new Uint8Array(4), "1"]]) {
    expect(() => decode(...args)).toThrow(TypeError)
    expect(() => decodeAsync(...args)).toThrow(TypeError)
  }
})

test("bytes that are overwritten and handed to somebody else meanwhile are decoded as they were", async () => {
  const file = kinds["4:4:4"]
  const expected = jpegDecoder!.decode(file, width * height)!
  for (let i = 0; i < 20; i++) {
    const bytes = new Uint8Array(file)
    const later = jpegDecoder!.decodeAsync(bytes, width * height)
    bytes.fill(0)
    structuredClone(bytes, { transfer: [bytes.buffer] })
    expect(Buffer.compare((await later)!.data!, expected.data!)).toBe(0)
  }
})

test("a file that asks for thousands of passes is left to others", () => {
  // The scans of a progressive file, again and again.
  const { progressive } = kinds
  const scans = [...progressive.keys()].filter((i) => progressive[i] === 0xff && progressive[i + 1] === 0xda)
  const last = progressive.subarray(scans.at(-1), -2)
  const many = Buffer.concat([
    progressive.subarray(0, -2),
    ...Array.from({ length: 5000 }, () => last),
    progressive.subarray(-2),
  ])
  expect(scans.length).toBeGreaterThan(3)
  expect(jpegDecoder!.decode(many, 1e6)).toBeNull()
})

test("three thousand damaged files give null, or the pixels that the other decoder gives", async () => {
  const outcomes = { decoded: 0, left: 0 }
  for (let i = 0; i < 3000; i++) {
    const bytes = damaged(random.pick(Object.values(kinds)))
    const decoded = jpegDecoder!.decode(bytes, 1e6)
    outcomes[decoded?.data ? "decoded" : "left"] += 1
    // Every tenth file, because the other decoder is slow.
    if (!decoded?.data || i % 10 > 0) continue
    const expected = await decodeImage(bytes, { decoder: "sharp" })
    expect([decoded.width, decoded.height]).toEqual([expected.width, expected.height])
    expect(Buffer.compare(decoded.data, Buffer.from(expected.data))).toBe(0)
  }
  expect(outcomes.decoded).toBeGreaterThan(300)
  expect(outcomes.left).toBeGreaterThan(300)
})

test("JPEG files are known by their first bytes", () => {
  expect(isJpeg(kinds.gray)).toBe(true)
  expect(isJpeg(Uint8Array.of(0xff))).toBe(false)
  expect(isJpeg(Buffer.from("\x89PNG"))).toBe(false)
})

/** Cut off, with a hole, or with some bytes changed: anywhere, or where the tables are. */
function damaged(whole: Buffer): Buffer {
  const at = random.int(whole.length)
  const kind = random.int(4)
  if (kind === 0) return whole.subarray(0, at)
  if (kind === 1) return Buffer.concat([whole.subarray(0, at), whole.subarray(at + 1 + random.int(20))])
  const copy = Buffer.from(whole)
  const reach = kind === 2 ? copy.length : 700
  for (let n = random.int(4); n >= 0; n--) copy[random.int(reach)] = random.int(256)
  return copy
}

test("threads that are ended within a decode do not take the process along", async () => {
  const code = `
    const { workerData } = require("node:worker_threads")
    const { decode } = require(workerData.addonFile)
    for (;;) decode(workerData.bytes, 1e9)`
  for (let i = 0; i < 5; i++) {
    const bytes = new Uint8Array(kinds["4:4:4"])
    const worker = new Worker(code, { eval: true, workerData: { addonFile, bytes } })
    await once(worker, "online")
    await new Promise((resolve) => setTimeout(resolve, 10 * i))
    expect(await worker.terminate()).toBe(1)
  }
})
