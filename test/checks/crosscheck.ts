/**
 * Weights filled under Apple's names and converted to open_clip's: our conversion gives the table of names, and the
 * converted weights give what open_clip computes with them.
 */
import { readFileSync } from "node:fs"
import { fill, inputImage } from "../../src/core/arrays/fill.ts"
import { type ClipConfig, imageTowers, type VariantName, variants } from "../../src/core/family/variants.ts"
import { loadStateDict, publishedParts, type StateDict, toPublished } from "../../src/model/checkpoint/state-dict.ts"
import { type KeyFlavour, publishedTensors } from "../../src/model/checkpoint/weights.ts"
import { Clip } from "../../src/model/clip.ts"
import type { Device } from "../../torch/index.ts"
import { type Check, exact, mismatches } from "./check.ts"
import { onnxFeatures, torchFeatures } from "./engines.ts"
import { goldenTokens, relativeError } from "./models.ts"
import * as tolerances from "./tolerances.ts"

type Rows = readonly (readonly number[])[]

interface KeyMap {
  readonly rows: readonly (readonly [apple: string | null, openclip: string, operation: string])[]
}

interface CrossCheck {
  readonly apple: string
  readonly openclip?: string
  readonly openclip_outputs_with_converted_weights?: { readonly image_features: Rows; readonly text_features: Rows }
}

/** Every row of the published conversion of MobileCLIP-B: the names, and what is done to the values. */
export function* checkKeyMap(file: string): Iterable<Check> {
  const { rows } = JSON.parse(readFileSync(file, "utf8")) as KeyMap
  const apple = publishedTensors(new Clip(variants["mobileclip-b"].model), "apple")
  const openclip = publishedTensors(new Clip(openClipConfig("mobileclip-b")), "openclip")
  const ours = [...openclip].map(([path, to]) => `${apple.get(path)?.key ?? null} -> ${to.key}`)
  const theirs = rows.map(([from, to]) => `${from} -> ${to}`)
  yield mismatches(`${rows.length} pairs of names`, symmetricDifference(ours, theirs))
  const operations = [...openclip].map(([path, to]) => `${to.key} ${operation(apple.get(path), to)}`)
  const expected = rows.map(([, to, what]) => `${to} ${what}`)
  yield mismatches("what is done to the values", symmetricDifference(operations, expected))
}

type Tensor = ReturnType<typeof publishedTensors> extends Map<string, infer T> ? T : never

function operation(from: Tensor | undefined, to: Tensor): string {
  if (!from) return "zeros"
  if (from.transposed !== to.transposed) return "transpose"
  return String(from.shape) === String(to.shape) ? "same" : "reshape"
}

function symmetricDifference(a: readonly string[], b: readonly string[]): number {
  const [left, right] = [new Set(a), new Set(b)]
  return a.filter((item) => !right.has(item)).length + b.filter((item) => !left.has(item)).length
}

export async function* checkCrossCheck(file: string, device: Device): AsyncIterable<Check> {
  const entries = JSON.parse(readFileSync(file, "utf8")) as Readonly<Record<string, CrossCheck>>
  for (const [name, { apple, openclip_outputs_with_converted_weights: expected }] of Object.entries(entries)) {
    if (!expected) continue
    const variant = apple.replace("_", "-") as VariantName
    yield exact(`${name} is in the variant table`, variant in variants)
    const model = convert(variant)
    const { imageSize, text } = model.config
    const pixels = inputImage(imageSize, expected.image_features.length)
    const input = { pixels, tokens: goldenTokens(text.contextLength) }
    const engines = [
      ["libtorch", torchFeatures(model, input, device)] as const,
      ...(device === "cpu" ? [["ONNX Runtime", await onnxFeatures(model, input)] as const] : []),
    ]
    for (const [engine, features] of engines) {
      for (const tower of ["image", "text"] as const) {
        const error = relativeError(features[tower], expected[`${tower}_features`].flat())
        const what = `${name}, converted, ${tower} features, ${engine}, in stds`
        yield { what, error, tolerance: tolerances.features }
      }
    }
  }
}

/** Apple's weights by the fill rule, through open_clip's names, in open_clip's function of them. */
function convert(variant: VariantName): Clip {
  const original = new Clip(variants[variant].model as ClipConfig)
  loadStateDict(original, filled(original, "apple"), "apple", "the fill rule")
  const converted = new Clip(openClipConfig(variant))
  loadStateDict(converted, published(original, converted), "openclip", "the converted weights")
  return converted
}

function openClipConfig(variant: VariantName): ClipConfig {
  const { image, ...rest } = variants[variant].model as ClipConfig
  return { ...rest, image: image.kind === "vit-conv-stem" ? imageTowers["vit-b16-timm"] : image, headBias: true }
}

function filled(model: Clip, flavour: KeyFlavour): StateDict {
  const shapes = new Map([...publishedTensors(model, flavour).values()].map(({ key, shape }) => [key, shape]))
  const shape = (key: string) => shapes.get(key)!
  return { keys: shapes.keys(), shape, read: (key) => fill(key, shape(key)).values }
}

/** The bias that v1 does not have is zero. */
function published(original: Clip, converted: Clip): StateDict {
  const parameters = original.namedParameters()
  const parts = publishedParts(publishedTensors(converted, "openclip"))
  return {
    keys: parts.keys(),
    shape: (key) => parts.get(key)!.tensor.shape,
    read(key) {
      const { tensor, paths } = parts.get(key)!
      const size = tensor.shape.reduce((product, dim) => product * dim, 1)
      return toPublished(
        paths.map((path) => parameters.get(path)?.read() ?? new Float32Array(size)),
        tensor,
      )
    },
  }
}
