/**
 * A model file: keys, shapes and parameter counts of both forms; image and text features of both forms through
 * libtorch and through ONNX Runtime, on weights filled by rule.
 */
import { readFileSync } from "node:fs"
import { fill, inputImage } from "../../src/core/arrays/fill.ts"
import { Tokenizer } from "../../src/core/text/tokenizer.ts"
import { loadStateDict, publishedParts, toPublished } from "../../src/model/checkpoint/state-dict.ts"
import { type KeyFlavour, type PublishedModel, publishedTensors } from "../../src/model/checkpoint/weights.ts"
import { Clip } from "../../src/model/clip.ts"
import { Coca } from "../../src/model/coca.ts"
import { reparameterize } from "../../src/model/reparameterize.ts"
import type { Device } from "../../torch/index.ts"
import { type Check, mismatches } from "./check.ts"
import { checkCoca, type GoldenCoca } from "./coca.ts"
import { type Features, onnxFeatures, torchFeatures } from "./engines.ts"
import { clipConfig, cocaConfig, type GoldenConfig, isCoca, keyFlavour } from "./modelConfig.ts"
import * as tolerances from "./tolerances.ts"
import { checkVariant, type GoldenTransform } from "./variant.ts"

/** The two texts of every model file, as token ids. */
export function goldenTokens(contextLength: number): Rows {
  const tokenizer = new Tokenizer()
  return ["a photo of a corgi on the grass", "two red circles above a blue square"].map((text) =>
    Array.from(tokenizer.encodeBatch([text], contextLength).ids, Number),
  )
}

type Rows = readonly (readonly number[])[]

export interface GoldenModel extends GoldenConfig {
  readonly variant: string
  readonly input: { readonly image_shape: readonly number[]; readonly tokens: Rows }
  readonly params: Readonly<Record<"train" | "reparam", { readonly total: number }>>
  readonly state_dict: StateDictListing
  readonly state_dict_reparam?: StateDictListing
  readonly reparam_checksums?: Readonly<Record<string, readonly number[]>>
  readonly outputs: {
    readonly train: { logit_scale_exp: number }
    readonly f64: { image_features: Rows; text_features: Rows }
  }
  readonly coca?: GoldenCoca
  /** open_clip's transform on pictures of `preprocess/`, with its settings for this model's released weights. */
  readonly transform?: GoldenTransform
  readonly extra_resolution_64?: { readonly image_features: Rows }
}

type StateDictListing = readonly (readonly [key: string, shape: readonly number[], dtype: string])[]

export async function* checkModel(file: string, device: Device): AsyncIterable<Check> {
  const golden = JSON.parse(readFileSync(file, "utf8")) as GoldenModel
  const flavour = keyFlavour(golden)
  const train = isCoca(golden) ? new Coca(cocaConfig(golden)) : new Clip(clipConfig(golden))
  const fused = reparameterize(train)
  yield* checkStructure("train-time", train, flavour, golden.state_dict, golden.params.train.total)
  yield* checkStructure(
    "fused",
    fused,
    flavour,
    golden.state_dict_reparam ?? golden.state_dict,
    golden.params.reparam.total,
  )
  fillByRule(train, flavour)
  yield* checkFused(fused, flavour, golden)
  yield logitScaleCheck(train, golden)
  if (golden.transform) yield* checkVariant(golden, golden.transform, file)
  const { imageSize } = train.config
  for (const [form, model] of [
    ["train-time", train],
    ["fused", fused],
  ] as const) {
    const input = { pixels: inputImage(imageSize, golden.input.image_shape[0]), tokens: golden.input.tokens }
    yield* compare(`libtorch, ${form}`, torchFeatures(model, input, device), golden)
    if (device === "cpu") yield* compare(`ONNX Runtime, ${form}`, await onnxFeatures(model, input), golden)
  }
  if (device !== "cpu") return
  if (train instanceof Coca) yield* checkCoca(train, golden)
  if (golden.extra_resolution_64) yield* checkResolution(golden, 64, golden.extra_resolution_64.image_features)
}

/** The same weights at another image size: the table of positions is resized. */
async function* checkResolution(golden: GoldenModel, imageSize: number, expected: Rows): AsyncIterable<Check> {
  const model = new Clip({ ...clipConfig(golden), imageSize })
  const published = new Map(golden.state_dict.map(([key, shape]) => [key, shape]))
  const read = (key: string) => fill(key, published.get(key)!).values
  loadStateDict(
    model,
    { keys: published.keys(), shape: (key) => published.get(key)!, read },
    keyFlavour(golden),
    "the fill rule",
  )
  const input = { pixels: inputImage(imageSize, expected.length), tokens: golden.input.tokens }
  for (const [engine, { image }] of [
    ["libtorch", torchFeatures(model, input)],
    ["ONNX Runtime", await onnxFeatures(model, input)],
  ] as const) {
    const error = relativeError(image, expected.flat())
    yield { what: `image features at ${imageSize} pixels, ${engine}, in stds`, error, tolerance: tolerances.features }
  }
}

function* checkStructure(
  form: string,
  model: PublishedModel,
  flavour: KeyFlavour,
  listing: StateDictListing,
  total: number,
) {
  const parameters = model.namedParameters()
  const tensors = [...publishedTensors(model, flavour)].map(
    ([path, { key, shape }]) => `${key} [${shape}] ${parameters.get(path)!.dtype}`,
  )
  const ours = [...new Set(tensors)]
  const theirs = new Set(listing.map(([key, shape, dtype]) => `${key} [${shape}] ${dtype}`))
  const missing = theirs.size - ours.filter((entry) => theirs.has(entry)).length
  const extra = ours.filter((entry) => !theirs.has(entry)).length
  yield mismatches(`${theirs.size} keys, shapes and dtypes, ${form}`, missing + extra)
  yield mismatches(`${total} parameters, ${form}`, Math.abs(model.learnedSize() - total))
}

/** Weights by the fill rule, computed when they are read. */
export function fillByRule(model: PublishedModel, flavour: KeyFlavour): void {
  const shapes = new Map([...publishedTensors(model, flavour).values()].map(({ key, shape }) => [key, shape]))
  const stateDict = {
    keys: shapes.keys(),
    shape: (key: string) => shapes.get(key)!,
    read: (key: string) => fill(key, shapes.get(key)!).values,
  }
  loadStateDict(model, stateDict, flavour, "the fill rule")
}

/** Fused tensors against the reference's: sum, sum of magnitudes, first and last value. */
function* checkFused(fused: PublishedModel, flavour: KeyFlavour, golden: GoldenModel): Iterable<Check> {
  const expected = golden.reparam_checksums
  if (!expected) return
  const parameters = fused.namedParameters()
  const tensors = [...publishedParts(publishedTensors(fused, flavour)).values()].filter(
    ({ tensor }) => expected[tensor.key],
  )
  const count = Object.keys(expected).length
  yield mismatches(`${count} fused tensors found by name`, count - tensors.length)
  let [sums, values] = [0, 0]
  for (const { tensor, paths } of tensors) {
    const ours = toPublished(
      paths.map((path) => parameters.get(path)!.read()),
      tensor,
    )
    const [sum, magnitude, first, last] = expected[tensor.key] as readonly [number, number, number, number]
    const [ourSum, ourMagnitude, largest] = sumUp(ours)
    sums = Math.max(sums, Math.abs(ourSum - sum) / magnitude, Math.abs(ourMagnitude - magnitude) / magnitude)
    values = Math.max(values, Math.abs(ours[0]! - first) / largest, Math.abs(ours.at(-1)! - last) / largest)
  }
  yield { what: `sums of ${tensors.length} fused tensors`, error: sums, tolerance: tolerances.checksum }
  yield { what: "first and last values of fused tensors", error: values, tolerance: tolerances.fusedValue }
}

function sumUp(values: Float32Array): readonly [sum: number, magnitude: number, largest: number] {
  let [sum, magnitude, largest] = [0, 0, 0]
  for (const value of values) {
    sum += value
    magnitude += Math.abs(value)
    largest = Math.max(largest, Math.abs(value))
  }
  return [sum, magnitude, largest]
}

function logitScaleCheck(model: Pick<Clip, "logitScale">, golden: GoldenModel): Check {
  const scale = Math.exp(model.logitScale.read()[0]!)
  const error = Math.abs(scale / golden.outputs.train.logit_scale_exp - 1)
  return { what: "exp(logit scale), relative", error, tolerance: tolerances.logitScale }
}

function* compare(what: string, features: Features, { outputs }: GoldenModel): Iterable<Check> {
  for (const [tower, ours, reference] of [
    ["image", features.image, outputs.f64.image_features],
    ["text", features.text, outputs.f64.text_features],
  ] as const) {
    yield {
      what: `${tower} features, ${what}, in stds`,
      error: relativeError(ours, reference.flat()),
      tolerance: tolerances.features,
    }
  }
}

/** Largest difference, in standard deviations of the reference. */
export function relativeError(ours: Float32Array, reference: readonly number[]): number {
  if (ours.length !== reference.length) return Number.POSITIVE_INFINITY
  const mean = reference.reduce((sum, x) => sum + x, 0) / reference.length
  const std = Math.sqrt(reference.reduce((sum, x) => sum + (x - mean) ** 2, 0) / reference.length)
  const largest = reference.reduce((max, x, i) => Math.max(max, Math.abs(x - ours[i]!)), 0)
  return ours.every(Number.isFinite) ? largest / std : Number.POSITIVE_INFINITY
}
