/** augment.json: stored views made again, byte for byte; their parameters in both forms; tables of magnitudes. */
import { createHash } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import type { Image8 } from "../../src/core/image/pixels.ts"
import { normalize } from "../../src/core/image/preprocess.ts"
import { applyAugmentation, augmentedPixels } from "../../src/data/augment/apply.ts"
import { opNames, type StoredAugmentation } from "../../src/data/augment/augmentation.ts"
import { type AugmentationConfig, parseAugmentationConfig } from "../../src/data/augment/config.ts"
import { magnitudeOf } from "../../src/data/augment/magnitudes.ts"
import { compress, decompress, parseParamAug } from "../../src/data/augment/stored.ts"
import { decodeImage } from "../../src/host/image/images.ts"
import { type Check, exact, mismatches } from "./check.ts"

interface AugmentFile {
  config: object
  input: string
  op_names: string[]
  samples: Sample[]
  paug_json: { param_aug: unknown[] }
  single_ops: View[]
  crops: View[]
  skipped_randaugment_example: { compressed: unknown; decompressed_keys: string[] }
  magnitudes_224_bin9: Record<string, number>
  magnitudes_256_bin9: Record<string, number>
  magnitude_tables_224: Record<string, number | number[]>
}

/** Has "png_224", "sha256_224_crop_only" and so on beside these. */
type Sample = { compressed: unknown; decompressed: unknown; tensor_224: Tensor; tensor_256: Tensor } & Record<
  string,
  unknown
>

interface View {
  compressed: unknown
  size: number
  png: string
  sha256: string
}

interface Tensor {
  shape: number[]
  mean: number
  std: number
  first8: number[]
  last8: number[]
}

/** Means are rounded to 9 digits; the values themselves must be equal. */
const meanTolerance = 2e-8

export async function* checkAugment(path: string): AsyncIterable<Check> {
  const file: AugmentFile = JSON.parse(readFileSync(path, "utf8"))
  const folder = path.replace(/\.json$/, "")
  const image = await decodeImage(join(folder, "..", file.input))
  const config = parseAugmentationConfig(JSON.stringify(file.config), "config")
  yield* checkTables(file)
  yield* checkForms(file)
  for (const [i, sample] of file.samples.entries()) {
    for (const size of [224, 256]) yield* checkSample(`sample ${i} at ${size}`, image, sample, size, config, folder)
  }
  for (const view of file.single_ops) yield* checkView("operation", image, view, folder)
  for (const view of file.crops) yield* checkView("crop", image, view, folder)
}

function* checkTables(file: AugmentFile): Iterable<Check> {
  yield exact("names of operations", isDeepStrictEqual(file.op_names, [...opNames]))
  for (const [op, name] of opNames.entries()) {
    const table = file.magnitude_tables_224[name]!
    const expected = typeof table === "number" ? Array.from({ length: 31 }, () => table) : table
    const wrong = expected.filter((value, bin) => value !== magnitudeOf(op, bin, 31, 224))
    yield mismatches(`${name}, ${expected.length} magnitudes`, wrong.length)
    const at9 = [magnitudeOf(op, 9, 31, 224), magnitudeOf(op, 9, 31, 256)]
    const found = String(at9) === String([file.magnitudes_224_bin9[name], file.magnitudes_256_bin9[name]])
    yield exact(`${name}, bin 9 at 224 and 256`, found)
  }
}

function* checkForms(file: AugmentFile): Iterable<Check> {
  const stored = file.samples.map(({ compressed }) => compressed)
  yield exact("param_aug as a list", isDeepStrictEqual(parseParamAug(file.paug_json.param_aug, "paug"), stored))
  const text = JSON.stringify(file.paug_json.param_aug)
  yield exact("param_aug as a text", isDeepStrictEqual(parseParamAug(text, "paug"), stored))
  for (const [i, { compressed, decompressed }] of file.samples.entries()) {
    const augmentation = parseOne(compressed)
    yield exact(`sample ${i}, decompressed`, isDeepStrictEqual(decompress(augmentation), decompressed))
    yield exact(`sample ${i}, compressed`, isDeepStrictEqual(compress(decompress(augmentation)), compressed))
  }
  const { compressed, decompressed_keys } = file.skipped_randaugment_example
  const keys = Object.keys(decompress(parseOne(compressed))).sort()
  yield exact("skipped RandAugment", isDeepStrictEqual(keys, decompressed_keys))
}

function parseOne(entry: unknown): StoredAugmentation {
  return parseParamAug([entry], "golden")[0]!
}

async function* checkSample(
  what: string,
  image: Image8,
  sample: Sample,
  size: number,
  { randomResizedCrop: { interpolation }, normalize: normalization }: AugmentationConfig,
  folder: string,
): AsyncIterable<Check> {
  const augmentation = parseOne(sample.compressed)
  const view = applyAugmentation(image, augmentation, size, interpolation)
  yield* samePixels(what, view, sample, `_${size}`, folder)
  const cropped = applyAugmentation(image, [augmentation[0], null], size, interpolation)
  yield* samePixels(`${what}, crop only`, cropped, sample, `_${size}_crop_only`, folder)
  const pixels = augmentedPixels(image, augmentation, { size, interpolation, ...normalization })
  yield mismatches(`${what}, tensor`, differing(pixels, normalize(view, normalization)))
  yield* checkTensor(`${what}, tensor`, pixels, size === 224 ? sample.tensor_224 : sample.tensor_256)
}

function* checkTensor(what: string, values: Float32Array, expected: Tensor): Iterable<Check> {
  const ends = [...expected.first8, ...expected.last8].map(Math.fround)
  yield mismatches(`${what}, first and last`, differing([...values.subarray(0, 8), ...values.subarray(-8)], ends))
  const mean = average(values)
  const std = Math.sqrt(average(values.map((value) => (value - mean) ** 2)))
  const error = Math.max(Math.abs(mean - expected.mean), Math.abs(std - expected.std))
  yield { what: `${what}, mean and std`, error, tolerance: meanTolerance }
}

async function* checkView(kind: string, image: Image8, view: View, folder: string): AsyncIterable<Check> {
  const found = applyAugmentation(image, parseOne(view.compressed), view.size, "bicubic")
  yield* samePixels(`${kind} ${view.png}`, found, { png: view.png, sha256: view.sha256 }, "", folder)
}

/** By checksum, and where the folder has the picture, by the bytes that differ. */
async function* samePixels(
  what: string,
  image: Image8,
  expected: Record<string, unknown>,
  suffix: string,
  folder: string,
): AsyncIterable<Check> {
  const checksum = createHash("sha256").update(image.data).digest("hex")
  yield exact(`${what}, checksum`, checksum === expected[`sha256${suffix}`])
  const png = expected[`png${suffix}`]
  if (typeof png !== "string" || !existsSync(join(folder, png))) return
  yield mismatches(`${what}, bytes`, differing(image.data, (await decodeImage(join(folder, png))).data))
}

function differing(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => i).filter((i) => a[i] !== b[i]).length
}

function average(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0) / values.length
}
