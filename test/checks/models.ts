/**
 * A model file: keys, shapes and parameter counts of both forms; image and text features of both forms through
 * libtorch and through ONNX Runtime, on weights filled by rule.
 */
import { readFileSync } from "node:fs"
import { fill, inputImage } from "../../src/core/fill.ts"
import { Clip } from "../../src/model/clip.ts"
import { reparameterize } from "../../src/model/reparameterize.ts"
import { loadStateDict, publishedTensors, toPublished } from "../../src/model/weights.ts"
import { type Check, mismatches } from "./check.ts"
import { type Features, onnxFeatures, torchFeatures } from "./engines.ts"
import { clipConfig, type GoldenConfig } from "./modelConfig.ts"
import * as tolerances from "./tolerances.ts"

type Rows = readonly (readonly number[])[]

interface GoldenModel extends GoldenConfig {
  readonly input: { readonly image_shape: readonly number[]; readonly tokens: Rows }
  readonly params: Readonly<Record<"train" | "reparam", { readonly total: number }>>
  readonly state_dict: StateDictListing
  readonly state_dict_reparam?: StateDictListing
  readonly reparam_checksums?: Readonly<Record<string, readonly number[]>>
  readonly outputs: {
    readonly train: { logit_scale_exp: number }
    readonly f64: { image_features: Rows; text_features: Rows }
  }
}

type StateDictListing = readonly (readonly [key: string, shape: readonly number[], dtype: string])[]

export async function* checkModel(file: string): AsyncIterable<Check> {
  const golden = JSON.parse(readFileSync(file, "utf8")) as GoldenModel
  const config = clipConfig(golden)
  const train = new Clip(config)
  const fused = reparameterize(train)
  yield* checkStructure("train-time", train, golden, golden.state_dict, golden.params.train.total)
  yield* checkStructure(
    "fused",
    fused,
    golden,
    golden.state_dict_reparam ?? golden.state_dict,
    golden.params.reparam.total,
  )
  fillByRule(train, golden)
  yield* checkFused(fused, golden)
  yield logitScaleCheck(train, golden)
  for (const [form, model] of [
    ["train-time", train],
    ["fused", fused],
  ] as const) {
    const input = { pixels: inputImage(config.imageSize, golden.input.image_shape[0]), tokens: golden.input.tokens }
    yield* compare(`libtorch, ${form}`, torchFeatures(model, input), golden)
    yield* compare(`ONNX Runtime, ${form}`, await onnxFeatures(model, input), golden)
  }
}

function* checkStructure(form: string, model: Clip, golden: GoldenModel, listing: StateDictListing, total: number) {
  const parameters = model.namedParameters()
  const ours = [...publishedTensors(model, golden.flavour)].map(
    ([path, { key, shape }]) => `${key} [${shape}] ${parameters.get(path)!.dtype}`,
  )
  const theirs = new Set(listing.map(([key, shape, dtype]) => `${key} [${shape}] ${dtype}`))
  const missing = theirs.size - ours.filter((entry) => theirs.has(entry)).length
  const extra = ours.filter((entry) => !theirs.has(entry)).length
  yield mismatches(`${theirs.size} keys, shapes and dtypes, ${form}`, missing + extra)
  yield mismatches(`${total} parameters, ${form}`, Math.abs(model.learnedSize() - total))
}

/** Weights by the fill rule, computed when they are read. */
export function fillByRule(model: Clip, { flavour }: Pick<GoldenModel, "flavour">): void {
  const shapes = new Map([...publishedTensors(model, flavour).values()].map(({ key, shape }) => [key, shape]))
  const stateDict = {
    keys: shapes.keys(),
    shape: (key: string) => shapes.get(key)!,
    read: (key: string) => fill(key, shapes.get(key)!).values,
  }
  loadStateDict(model, stateDict, flavour, "the fill rule")
}

/** Fused tensors against the reference's: sum, sum of magnitudes, first and last value. */
function* checkFused(fused: Clip, golden: GoldenModel): Iterable<Check> {
  const expected = golden.reparam_checksums
  if (!expected) return
  const parameters = fused.namedParameters()
  const tensors = [...publishedTensors(fused, golden.flavour)].filter(([, { key }]) => expected[key])
  const count = Object.keys(expected).length
  yield mismatches(`${count} fused tensors found by name`, count - tensors.length)
  let [sums, values] = [0, 0]
  for (const [path, tensor] of tensors) {
    const ours = toPublished(parameters.get(path)!.read(), tensor)
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

function logitScaleCheck(model: Clip, golden: GoldenModel): Check {
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
