/**
 * The proof of an export: fixed pictures and texts go through the written files on ONNX Runtime and through the model
 * they came from, three at once and one alone.
 */
import { statSync } from "node:fs"
import { join } from "node:path"
import { inputImage } from "../core/arrays/fill.ts"
import { UserError } from "../core/errors.ts"
import type { Values } from "../core/inference/caption-decoder.ts"
import { type Manifest, memoryName, type TowerFile } from "../core/inference/manifest.ts"
import { dtypeOfPart, type OnnxDtype } from "../core/precision.ts"
import { startOfText } from "../core/text/tokenizer.ts"
import { writeAtomically } from "../host/files/files.ts"
import { temporaryFolder } from "../host/files/temporary.ts"
import { Coca } from "../model/coca.ts"
import type { Feed, Graph } from "../run/graph.ts"
import { embed, fixedInput, standardDeviation, summarize, type TowerInput } from "../run/self-test.ts"
import { OnnxGraph, runtimeName, type SessionOptions } from "../run/session.ts"
import { traceOnnx } from "../tensor/onnx.ts"
import type { EncodedModel, EncodeOptions } from "../tensor/onnx-proto.ts"
import { layouts } from "./layouts.ts"
import { type ExportableModel, type TowerName, traceTower } from "./towers.ts"

/** What is known before anything was written. */
export type Described = Omit<Manifest, "source" | "files" | "verification" | "selfTest">

/**
 * In standard deviations of the embeddings. Two float32 implementations of towers of this depth differ by 1e-6 to
 * 1e-5; a wrong epsilon, padding or weight shows as 1e-3 and more.
 */
const TOLERANCE = 1e-4

/** Another way to compute the embeddings of the model that is exported. */
export interface Reference {
  /** For the manifest, for example "libtorch 2.13.0". */
  readonly name: string
  /** Rows [batch, embedDim], not of unit length. */
  embed(input: TowerInput): Promise<Float32Array>
}

/**
 * Compares the towers in `folder` with `reference`, and says what the reference gave; throws UserError when they differ
 * or give what is not a number.
 */
export async function verify(
  folder: string,
  model: ExportableModel,
  { towers, dtype }: Described,
  reference: Reference,
): Promise<Required<Pick<Manifest, "verification" | "selfTest">>> {
  const compare = async (tower: TowerName) => {
    const file = towers[tower]!
    const compared = await compareTower(folder, file, tower, model, reference)
    requireEqual(`${tower} tower`, compared, dtypeOfPart(dtype, tower), reference)
    return compared
  }
  const image = await compare("image")
  const text = towers.text ? await compare("text") : null
  const decoder = towers.decoder && model instanceof Coca ? await verifyDecoder(folder, model, towers, dtype) : null
  return {
    verification: {
      reference: reference.name,
      runtime: runtimeName(),
      tolerance: Math.max(toleranceOf(dtypeOfPart(dtype, "image")), toleranceOf(dtypeOfPart(dtype, "text"))),
      imageError: image.error,
      ...(text && { textError: text.error }),
      ...(decoder && { decoderError: decoder.error }),
      cosine: Math.min(image.cosine, text?.cosine ?? 1),
    },
    selfTest: { image: summarize(image.expected), ...(text && { text: summarize(text.expected) }) },
  }
}

/** float16 has 11 bits: its errors are judged by the angle they make; single values may be off by that in standard deviations. */
const LOWEST_COSINE = 0.9999
const HALF_TOLERANCE = 0.05

/** What is rounding, in standard deviations of the embeddings. */
export function toleranceOf(dtype: OnnxDtype): number {
  return dtype === "fp16" ? HALF_TOLERANCE : TOLERANCE
}

function requireEqual(what: string, { error, cosine }: Comparison, dtype: OnnxDtype, reference: Reference): void {
  if (dtype === "fp16" ? cosine >= LOWEST_COSINE : error <= TOLERANCE) return
  const difference =
    dtype === "fp16"
      ? `has a cosine of ${cosine.toPrecision(6)} with ${reference.name}; at least ${LOWEST_COSINE} is expected of fp16`
      : `differs from ${reference.name} by ${error.toPrecision(2)} standard deviations; at most ${TOLERANCE} is rounding`
  throw new UserError(
    Number.isNaN(error)
      ? `the exported ${what} gives values that are not numbers`
      : `the exported ${what} ${difference}`,
    "nothing was written; check that the checkpoint's weights are finite, then report this with the model's name",
  )
}

export interface Comparison {
  /** In standard deviations. */
  readonly error: number
  /** The cosine of the row where it is lowest. */
  readonly cosine: number
}

/** Rows [N, width] with those that are expected of them. */
export function compareRows(ours: Float32Array, expected: Float32Array, width: number): Comparison {
  const error = maxDifference(ours, expected) / standardDeviation(expected)
  let lowest = 1
  for (let start = 0; start < ours.length; start += width) {
    const [a, b] = [ours.subarray(start, start + width), expected.subarray(start, start + width)]
    const dot = a.reduce((sum, value, i) => sum + value * b[i]!, 0)
    lowest = Math.min(lowest, dot / (Math.hypot(...a) * Math.hypot(...b)))
  }
  return { error, cosine: lowest }
}

/** The same model before reparameterisation, on ONNX Runtime: what there is to compare with where libtorch is not. */
export function unfusedReference(model: ExportableModel): Reference {
  return {
    name: "onnxruntime-node, not fused",
    async embed(input) {
      const file = layouts.plain.towers()[input.tower]
      const trace = (encode: EncodeOptions) => traceTower(input.tower, model, file, { encode })
      return withTraced(trace, (graph) => embed(graph, file, input))
    },
  }
}

/** Runs a traced model from a temporary file with its weights beside it, which ONNX Runtime maps instead of copying. */
async function withTraced<T>(
  trace: (encode: EncodeOptions) => EncodedModel,
  use: (graph: Graph) => Promise<T>,
): Promise<T> {
  using folder = temporaryFolder("trace")
  const encoded = trace({ dataFile: "weights", maxBytes: 0 })
  await writeAtomically(join(folder.path, "model.onnx"), encoded.chunks())
  await writeAtomically(join(folder.path, "weights"), encoded.external?.chunks() ?? [])
  return await withGraph(folder.path, "model.onnx", use, { ...lean, graphOptimizationLevel: "disabled" })
}

async function compareTower(
  folder: string,
  file: TowerFile,
  tower: TowerName,
  { config }: ExportableModel,
  reference: Reference,
): Promise<Comparison & { readonly expected: Float32Array }> {
  const contextLength = "text" in config ? config.text.contextLength : 0
  const sizes = { imageSize: config.imageSize, contextLength }
  const [three, one] = [fixedInput(tower, sizes, 3), fixedInput(tower, sizes, 1)]
  const expected = await reference.embed(three)
  return withGraph(folder, file.file, async (graph) => {
    const together = compareRows(await embed(graph, file, three), expected, config.embedDim)
    const alone = maxDifference(await embed(graph, file, one), expected) / standardDeviation(expected)
    return { ...together, error: Math.max(together.error, alone), expected }
  })
}

/** A caption of some tokens, one after the other through the decoder, and at once by the plain definition. */
async function verifyDecoder(
  folder: string,
  model: Coca,
  { image, decoder }: Described["towers"],
  dtype: Described["dtype"],
): Promise<Comparison> {
  const size = model.config.imageSize
  const pixels = { data: inputImage(size, 1), shape: [1, 3, size, size] }
  const tokens = BigInt64Array.from([startOfText, 320, 1125, 539, 320], BigInt)
  const expected = await plainLogits(model, pixels, tokens)
  const memory = await withGraph(folder, image.file, async (graph) => {
    return (await graph.run({ [image.input]: pixels }, [memoryName]))[memoryName]
  })
  const ours = await withGraph(folder, decoder!.file, (graph) => {
    return decodeTokens(graph, decoder!, tokens, memory, model.cacheWidth)
  })
  const compared = compareRows(ours, expected, expected.length)
  const reference = { name: "the whole prefix at once", embed: async () => expected }
  // Its memory comes from the image tower.
  requireEqual("decoder", compared, dtypeOfPart(dtype, "image"), reference)
  return compared
}

async function plainLogits(model: Coca, pixels: Feed, tokens: BigInt64Array): Promise<Float32Array> {
  const size = model.config.imageSize
  const inputs = {
    pixels: { dtype: "float32", shape: [-1, 3, size, size] },
    ids: { dtype: "int64", shape: [-1, tokens.length] },
  } as const
  const parameters = model.namedParameters()
  const trace = (encode: EncodeOptions) =>
    traceOnnx({ name: "captioner", parameters, inputs, encode }, (x, ids) => ({
      logits: model.logits(ids!, model.image.forward(x!).tokens),
    }))
  return withTraced(trace, async (graph) => {
    const { logits } = await graph.run({ pixels, ids: { data: tokens, shape: [1, tokens.length] } }, ["logits"])
    return logits.data.slice(-model.config.text.vocabSize)
  })
}

async function decodeTokens(
  graph: Graph,
  { input, output }: TowerFile,
  tokens: BigInt64Array,
  memory: Values,
  cacheWidth: number,
): Promise<Float32Array> {
  let past: Values = { data: new Float32Array(0), shape: [1, 0, cacheWidth] }
  let logits = new Float32Array(0)
  for (const token of tokens) {
    const ids = { data: BigInt64Array.of(token), shape: [1, 1] }
    const results = await graph.run({ [input]: ids, past, [memoryName]: memory }, [output, "present"])
    past = results.present!
    logits = results[output]!.data as Float32Array<ArrayBuffer>
  }
  return logits
}

/** A few runs need neither a second copy of the weights in another layout nor memory kept for later. */
const lean: SessionOptions = {
  enableCpuMemArena: false,
  enableMemPattern: false,
  extra: { session: { disable_prepacking: "1" } },
}

/** Weights from here on are held once: the highest level writes float16 ones out as float32 too, on a processor. */
const LARGE_BYTES = 5e8

function leanOptions(path: string): SessionOptions {
  const isLarge = statSync(path).size > LARGE_BYTES
  return { ...lean, graphOptimizationLevel: isLarge ? "extended" : "all" }
}

async function withGraph<T>(
  folder: string,
  file: string,
  use: (graph: Graph) => Promise<T>,
  options: SessionOptions = leanOptions(join(folder, file)),
): Promise<T> {
  const graph = new OnnxGraph(folder, file, options)
  try {
    return await use(graph)
  } finally {
    await graph.release()
  }
}

/** The largest difference over the values of `ours`; NaN where one of them is NaN. */
export function maxDifference(ours: Float32Array, expected: Float32Array): number {
  return ours.reduce((largest, value, i) => Math.max(largest, Math.abs(value - expected[i]!)), 0)
}
