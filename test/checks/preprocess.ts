/** preprocess.json: decoding, resize, crop and normalisation, byte for byte. */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { centerBox, type Image8 } from "../../src/core/image/pixels.ts"
import { normalize } from "../../src/core/image/preprocess.ts"
import {
  type Interpolation,
  resizeAndCenterCrop,
  resizeShortestSide,
  shortestSide,
} from "../../src/core/image/resize.ts"
import { decodeImage } from "../../src/host/image/images.ts"
import { type Check, exact, mismatches } from "./check.ts"
import { resizeInMode } from "./native-mode.ts"

interface PreprocessFile {
  images?: Record<string, { input: string; sha256_rgb: string; outputs: Record<string, Output> }>
  jpeg?: Record<string, { file: string; decoded: string; sha256_rgb: string; exif_transposed?: string }>
  modes?: Record<string, Mode>
}

/** What a pipeline gives, such as "bilinear256"; some have only checksums. */
interface Output {
  file: string | null
  resized_size_wh: [number, number]
  crop_left: number
  crop_top: number
  sha256_rgb: string
  sha256_resized_rgb: string
  tensor: Record<string, TensorSummary>
}

interface TensorSummary {
  shape: number[]
  mean: number
  std: number
  channel_means: number[]
  first8: number[]
  last8: number[]
}

type Mode = Record<string, string | boolean> & { file: string; pil_mode: string }

const normalisations: Record<string, { mean: [number, number, number]; std: [number, number, number] }> = {
  unit: { mean: [0, 0, 0], std: [1, 1, 1] },
  openai: { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] },
}

/** Means are rounded to 9 digits (up to 5e-9 where they are above 1); the values themselves must be equal. */
const meanTolerance = 2e-8

export async function* checkPreprocess(path: string): AsyncIterable<Check> {
  const file: PreprocessFile = JSON.parse(readFileSync(path, "utf8"))
  const folder = path.replace(/\.json$/, "")
  for (const [name, { input, sha256_rgb, outputs }] of Object.entries(file.images ?? {})) {
    const image = await decodeImage(join(folder, input))
    yield exact(`${name}, decoded`, sha256(image) === sha256_rgb)
    for (const [pipe, output] of Object.entries(outputs))
      yield* checkOutput(`${name}, ${pipe}`, image, pipe, output, folder)
  }
  for (const [name, { file: jpeg, decoded, sha256_rgb, exif_transposed }] of Object.entries(file.jpeg ?? {})) {
    for (const decoder of ["fastest", "sharp"] as const) {
      const image = await decodeImage(join(folder, jpeg), { decoder })
      yield exact(`${name}, ${decoder}, checksum`, sha256(image) === sha256_rgb)
      yield await samePixels(`${name}, ${decoder}, decoded`, image, join(folder, decoded))
    }
    if (!exif_transposed) continue
    const turned = await decodeImage(join(folder, jpeg), { exif: "apply" })
    yield await samePixels(`${name}, orientation applied`, turned, join(folder, exif_transposed))
  }
  for (const [name, mode] of Object.entries(file.modes ?? {})) yield* checkMode(name, mode, folder)
}

async function* checkOutput(
  what: string,
  image: Image8,
  pipe: string,
  expected: Output,
  folder: string,
): AsyncIterable<Check> {
  const [interpolation, size] = parsePipe(pipe)
  const to = shortestSide(image, size)
  const box = centerBox(to.width, to.height, size)
  const found = [to.width, to.height, box.left, box.top]
  const { resized_size_wh, crop_left, crop_top } = expected
  yield exact(`${what}, sizes`, String(found) === String([...resized_size_wh, crop_left, crop_top]))
  const resized = resizeShortestSide(image, size, interpolation)
  yield exact(`${what}, resized, checksum`, sha256(resized) === expected.sha256_resized_rgb)
  const cropped = resizeAndCenterCrop(image, size, interpolation)
  yield exact(`${what}, cropped, checksum`, sha256(cropped) === expected.sha256_rgb)
  if (expected.file) yield await samePixels(`${what}, cropped`, cropped, join(folder, expected.file))
  for (const [name, tensor] of Object.entries(expected.tensor))
    yield* checkTensor(`${what}, ${name}`, cropped, name, tensor)
}

function* checkTensor(what: string, image: Image8, name: string, expected: TensorSummary): Iterable<Check> {
  const values = normalize(image, known(normalisations, name))
  const area = image.width * image.height
  yield exact(`${what}, shape`, String(expected.shape) === String([3, image.height, image.width]))
  const ends = [...values.subarray(0, 8), ...values.subarray(-8)]
  const expectedEnds = [...expected.first8, ...expected.last8].map(Math.fround)
  yield mismatches(`${what}, first and last`, ends.filter((value, i) => value !== expectedEnds[i]).length)
  const channels = [0, 1, 2].map((c) => mean(values.subarray(c * area, (c + 1) * area)))
  const average = mean(values)
  const std = Math.sqrt(mean(values.map((value) => (value - average) ** 2)))
  const found = [average, std, ...channels]
  const wanted = [expected.mean, expected.std, ...expected.channel_means]
  const error = Math.max(...found.map((value, i) => Math.abs(value - wanted[i]!)))
  yield { what: `${what}, means and std`, error, tolerance: meanTolerance }
}

/** Pictures that are not RGB: converted first, as we do, or resized as they are and then converted, as open_clip does. */
async function* checkMode(name: string, mode: Mode, folder: string): AsyncIterable<Check> {
  const path = join(folder, mode.file)
  const image = await decodeImage(path)
  const checksums = [mode.convert_rgb_sha256, mode.rgba_then_rgb_sha256]
  yield exact(
    `${name} (${mode.pil_mode}), to RGB, checksums`,
    checksums.every((sum) => sum === sha256(image)),
  )
  for (const [key, file] of Object.entries(mode)) {
    if (key === "convert_rgb") yield await samePixels(`${name}, to RGB`, image, join(folder, String(file)))
    const [, order, size, interpolation] = /^(convert_then_)?resize_crop(\d+)_([a-z]+)/.exec(key) ?? []
    if (!size) continue
    const pipe = { size: Number(size), interpolation: toInterpolation(interpolation!) }
    const resized = order
      ? resizeAndCenterCrop(image, pipe.size, pipe.interpolation)
      : await resizeInMode(path, mode.pil_mode, pipe.size, pipe.interpolation)
    yield await samePixels(`${name}, ${key}`, resized, join(folder, String(file)))
  }
}

/** "bilinear256" -> its parts. */
function parsePipe(pipe: string): [Interpolation, number] {
  const [, interpolation, size] = /^([a-z]+)(\d+)$/.exec(pipe) ?? []
  if (!interpolation) throw new Error(`unknown pipeline "${pipe}"`)
  return [toInterpolation(interpolation), Number(size)]
}

function toInterpolation(name: string): Interpolation {
  return known({ bilinear: "bilinear", bicubic: "bicubic" } as const, name)
}

function known<T>(table: Readonly<Record<string, T>>, name: string): T {
  const value = table[name]
  if (value === undefined) throw new Error(`"${name}" is not one of ${Object.keys(table).join(", ")}`)
  return value
}

/** Counts the bytes that differ from a stored PNG. */
async function samePixels(what: string, image: Image8, path: string): Promise<Check> {
  const expected = await decodeImage(path)
  if (expected.width !== image.width || expected.height !== image.height) return exact(`${what}, size`, false)
  return mismatches(`${what}, bytes`, image.data.filter((value, i) => value !== expected.data[i]).length)
}

function sha256(image: Image8): string {
  return createHash("sha256").update(image.data).digest("hex")
}

function mean(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0) / values.length
}
