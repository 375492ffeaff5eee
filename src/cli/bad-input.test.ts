/**
 * What people give by mistake, or what came damaged, with the line that they get: a table, which `MOBILECLIP_SHOW_CASES=1`
 * prints. A line is one line, names the file and what is wrong with it, and never has a stack.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { crc32 } from "node:zlib"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { exportModel } from "../export/export.ts"
import type { Result } from "./classifying.ts"
import { main } from "./main.ts"

let folder: string
const at = (...parts: string[]) => join(folder, ...parts)
const shown: (readonly [what: string, message: string])[] = []

/** Detail that no encoder makes small. */
const noise = (length: number) => Uint8Array.from({ length }, (_, i) => Math.imul(i ^ (i >>> 7), 0x9e3779b1) >>> 24)
const [width, height] = [90, 60]
const raw = (channels: 3 | 4 = 3) => ({ raw: { width, height, channels } })
const colour = () => sharp(noise(width * height * 3), raw())

/** A picture of 10 x 10 pixels that says it has 60,000 x 60,000. */
async function promising(): Promise<Buffer> {
  const file = await sharp(noise(300), { raw: { width: 10, height: 10, channels: 3 } })
    .png()
    .toBuffer()
  file.writeUInt32BE(60_000, 16)
  file.writeUInt32BE(60_000, 20)
  file.writeUInt32BE(crc32(file.subarray(12, 29)), 29)
  return file
}

async function withBytes(file: Promise<Buffer>, change: (bytes: Buffer) => void): Promise<Buffer> {
  const bytes = Buffer.from(await file)
  change(bytes)
  return bytes
}

/** Frames below each other. */
const frames = () => sharp(noise(30 * 180 * 3), { raw: { width: 30, height: 180, channels: 3, pageHeight: 60 } })

/** Contents of files, with the line that each gives; null: it is read. */
const pictures: Readonly<Record<string, { make(): Promise<Buffer>; line: string | null }>> = {
  "animated.gif": { make: () => frames().gif().toBuffer(), line: null },
  "animated.webp": { make: () => frames().webp().toBuffer(), line: null },
  "cmyk.jpg": { make: () => colour().toColourspace("cmyk").jpeg().toBuffer(), line: null },
  "gray.png": { make: () => colour().grayscale().png().toBuffer(), line: null },
  "transparent.png": {
    make: () =>
      sharp(noise(width * height * 4), raw(4))
        .png()
        .toBuffer(),
    line: null,
  },
  "sixteen-bits.png": { make: () => colour().toColourspace("rgb16").png().toBuffer(), line: null },
  "one-pixel.png": {
    make: () =>
      sharp(noise(3), { raw: { width: 1, height: 1, channels: 3 } })
        .png()
        .toBuffer(),
    line: null,
  },
  "a-line.png": {
    make: () =>
      sharp({ create: { width: 1, height: 20_000, channels: 3, background: "red" } })
        .png()
        .toBuffer(),
    line: null,
  },
  "cut-off.jpg": {
    make: async () => (await colour().jpeg().toBuffer()).subarray(0, 1500),
    line: "is damaged or cut off",
  },
  "cut-off.png": {
    make: async () => (await colour().png().toBuffer()).subarray(0, 1500),
    line: "is damaged or cut off",
  },
  "cut-in-the-header.jpg": {
    make: async () => (await colour().jpeg().toBuffer()).subarray(0, 100),
    line: "is damaged or cut off",
  },
  "corrupt.png": {
    make: () => withBytes(colour().png().toBuffer(), (bytes) => bytes.fill(0x55, 600, 900)),
    line: "is damaged or cut off",
  },
  "empty.jpg": { make: async () => Buffer.alloc(0), line: "is empty" },
  "zeros.jpg": { make: async () => Buffer.alloc(4096), line: "is not a picture" },
  "page.jpg": { make: async () => Buffer.from("<!DOCTYPE html>"), line: "is not a picture" },
  "drawing.png": {
    make: async () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
    line: "is not a picture",
  },
  "bitmap.jpg": { make: async () => Buffer.from("BM0000000000000000"), line: "is a BMP picture, which cannot be read" },
  "huge.png": { make: promising, line: "has 60000 x 60000 pixels, more than the limit of 100,000,000" },
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "bad-input-"))
  await exportModel(tinyModel(), tinyInfo, at("model"))
  mkdirSync(at("pictures"))
  mkdirSync(at("a folder.jpg"))
  for (const [name, { make }] of Object.entries(pictures)) writeFileSync(at("pictures", name), await make())
  writeFileSync(at("good.jpg"), await colour().jpeg().toBuffer())
})
afterAll(() => {
  rmSync(folder, { recursive: true })
  if (process.env.MOBILECLIP_SHOW_CASES)
    for (const [what, message] of shown) console.log(`${what.padEnd(36)} ${message}`)
})

async function run(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(argv, undefined, { out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err: err.replaceAll(folder, "DIR") }
}

const classify = (...argv: string[]) => run("classify", "--labels", "cat,dog", "--model", at("model"), ...argv)

test("pictures: what is read, and the line of each that is not, in every command", async () => {
  const { code, out, err } = await classify(at("pictures"), at("none.jpg"), at("a folder.jpg", "x.jpg"), "--json")
  const bad = Object.entries(pictures).flatMap(([name, { line }]) =>
    line === null ? [] : [[`DIR/pictures/${name}`, line]],
  )
  const expected = [
    ...bad.sort(([a], [b]) => (a! < b! ? -1 : 1)),
    ...[
      ["DIR/none.jpg", "does not exist"],
      ["DIR/a folder.jpg/x.jpg", "does not exist"],
    ],
  ].map(([path, line]) => `mobileclip: ${path} ${line}`)
  const all = Object.keys(pictures).length + 2
  expect(err.trimEnd().split("\n")).toEqual([...expected, `mobileclip: ${expected.length} of ${all} pictures could not be read`]) // biome-ignore format: a list
  expect(code).toBe(3)
  const good = Object.entries(pictures).flatMap(([name, { line }]) => (line === null ? [at("pictures", name)] : []))
  expect(JSON.parse(out).map(({ image }: Result) => image)).toEqual(good.sort())
  for (const [name, { line }] of Object.entries(pictures)) shown.push([name, line === null ? "read" : `NAME ${line}`])

  const vectors = await run(
    "embed",
    at("pictures"),
    "--model",
    at("model"),
    "--out",
    at("vectors"),
    "--progress",
    "none",
  )
  expect(vectors.code).toBe(3)
  const reasons = readFileSync(at("vectors", "failures.jsonl"), "utf8").trimEnd().split("\n")
  expect(reasons.map((line) => `mobileclip: ${JSON.parse(line).reason.replace(folder, "DIR")}`)).toEqual(
    expected.slice(0, -2),
  )
})

test.each(Object.entries(pictures).filter(([, { line }]) => line !== null))(
  "%s alone is one line and what to do, exit code 1",
  async (name, { line }) => {
    const { code, out, err } = await classify(at("pictures", name))
    expect([code, out, err.split("\n")[0]]).toEqual([1, "", `mobileclip: DIR/pictures/${name} ${line}`])
    expect(err.split("\n").length).toBeLessThanOrEqual(3)
  },
)

test.each<[string, Uint8Array, string]>([
  [
    "labels of which one comes again",
    Buffer.from("cat\ndog\n cat \n"),
    "DIR/list.txt: cat came more than once, and counts once",
  ],
  ["labels with blank lines", Buffer.from("\ncat\n\n  \ndog\n"), ""],
  [
    "an empty list of labels",
    Buffer.alloc(0),
    "mobileclip: DIR/list.txt holds no labels\n  put one label on each line",
  ],
  ["blank lines alone", Buffer.from("\n \n"), "mobileclip: DIR/list.txt holds no labels\n  put one label on each line"],
  [
    "labels that are not UTF-8",
    Buffer.from("cat\ncaf\xe9\n", "latin1"),
    "mobileclip: DIR/list.txt, line 2 is not UTF-8\n  save the file as UTF-8",
  ],
  [
    "a file that is not text",
    Uint8Array.of(1, 0, 2, 3, 0),
    "mobileclip: DIR/list.txt is not a list of labels\n  put one label on each line",
  ],
])("%s", async (what, content, message) => {
  writeFileSync(at("list.txt"), content)
  const { code, err } = await run("classify", at("good.jpg"), "--model", at("model"), "--labels-file", at("list.txt"))
  expect(err.startsWith(message)).toBe(true)
  if (message === "") expect(err).toBe("")
  expect(code).toBe(message.startsWith("mobileclip: ") ? 1 : 0)
  shown.push([what, message.split("\n")[0] || "read"])
})

test.each([
  ["an output that is a folder", ["classify", "--out", "model"], "DIR/model is a folder, and a file is to be written"],
  [
    "an output below a file",
    ["classify", "--out", "good.jpg/x.csv"],
    "DIR/good.jpg is there already, and is not a folder",
  ],
  [
    "an output where none can be",
    ["classify", "--out", "/proc/none.csv"],
    "the folder of /proc/none.csv does not exist",
  ],
  ["an output that is a device", ["classify", "--out", "/dev/null"], "/dev/null is a pipe, a socket or a device"],
  ["vectors below a file", ["embed", "--out", "good.jpg/v"], "DIR/good.jpg/v is a file, or in one, where a folder was"],
  ["vectors over other content", ["embed", "--out", "pictures"], "DIR/pictures has other content"],
  [
    "labels where none can be",
    ["bake-labels", "--out", "/proc/none.json"],
    "the folder of /proc/none.json does not exist",
  ],
])("%s is told before any work", async (what, [command, option, place], message) => {
  const labels = command === "embed" ? [] : ["--labels", "cat,dog"]
  const images = command === "bake-labels" ? [] : [at("good.jpg")]
  const out = place!.startsWith("/") ? place! : at(place!)
  const { code, err } = await run(command!, ...images, "--model", at("model"), ...labels, option!, out)
  expect([code, err]).toEqual([
    1,
    expect.stringMatching(new RegExp(`^mobileclip: ${escaped(message)}[^\n]*\n(  [^\n]+\n)?$`)),
  ])
  shown.push([what, err.split("\n")[0]!.replace("mobileclip: ", "")])
})

type Change = (model: string) => void

const rewritten = (model: string, change: (manifest: Record<string, unknown>) => object) => {
  const path = join(model, "mobileclip.json")
  writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, "utf8")))))
}

/** A folder that holds these alone. */
const replaced = (model: string, names: readonly string[]) => {
  for (const name of readdirSync(model)) rmSync(join(model, name), { recursive: true })
  for (const name of names) {
    mkdirSync(join(model, name, ".."), { recursive: true })
    writeFileSync(join(model, name), "{}")
  }
}

test.each<[string, Change, string]>([
  [
    "a tower that was cut off",
    (model) => truncateSync(join(model, "onnx/vision_model.onnx"), 1000),
    "DIR/changed/onnx/vision_model.onnx has 1000 bytes, and mobileclip.json says",
  ],
  [
    "a tower of the right length, damaged",
    (model) =>
      writeFileSync(
        join(model, "onnx/vision_model.onnx"),
        Buffer.alloc(readFileSync(join(model, "onnx/vision_model.onnx")).length),
      ),
    "DIR/changed/onnx/vision_model.onnx is damaged: it is not an ONNX model",
  ],
  [
    "a tower that is missing",
    (model) => rmSync(join(model, "onnx/text_model.onnx")),
    "DIR/changed/onnx/text_model.onnx is missing",
  ],
  [
    "a manifest that was cut off",
    (model) => truncateSync(join(model, "mobileclip.json"), 200),
    "DIR/changed/mobileclip.json should be a model's manifest, but is not JSON",
  ],
  [
    "a newer format",
    (model) => rewritten(model, (manifest) => ({ ...manifest, format: "mobileclip-model-2" })),
    'DIR/changed/mobileclip.json is of format "mobileclip-model-2", and this version reads "mobileclip-model-1"',
  ],
  [
    "another program's manifest",
    (model) => rewritten(model, () => ({ format: "something" })),
    'DIR/changed/mobileclip.json is not a model manifest of format "mobileclip-model-1"',
  ],
  [
    "files of TensorFlow Lite",
    (model) => replaced(model, ["image.tflite", "text.tflite"]),
    "DIR/changed has image.tflite, which is a model for TensorFlow Lite: it cannot be read here",
  ],
  [
    "files of OpenVINO",
    (model) => replaced(model, ["model.xml", "model.bin"]),
    "DIR/changed has model.xml, which is a model for OpenVINO: it cannot be read here",
  ],
  [
    "files of Core ML",
    (model) => replaced(model, ["clip.mlpackage/Manifest.json"]),
    "DIR/changed has clip.mlpackage, which is a model for Core ML: it cannot be read here",
  ],
  [
    "quantised towers alone",
    (model) => replaced(model, ["onnx/vision_model_quantized.onnx", "onnx/text_model_quantized.onnx", "config.json"]),
    "DIR/changed has no onnx/vision_model.onnx and onnx/text_model.onnx for fp32, but",
  ],
  ["an empty folder", (model) => replaced(model, []), "there is no model in DIR/changed: it is empty"],
])("a model: %s", async (what, change, message) => {
  rmSync(at("changed"), { recursive: true, force: true })
  cpSync(at("model"), at("changed"), { recursive: true })
  change(at("changed"))
  const words = { classify: ["--labels", "cat,dog"], embed: ["--out", at("of-changed"), "--progress", "none"] }
  for (const [command, options] of Object.entries(words)) {
    const { code, out, err } = await run(command, at("good.jpg"), "--model", at("changed"), ...options)
    expect([code, out, err]).toEqual([1, "", expect.stringMatching(new RegExp(`^mobileclip: ${escaped(message)}[^\n]*\n  [^\n]+\n$`))]) // biome-ignore format: a row
  }
  shown.push([what, message])
})

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")
}
