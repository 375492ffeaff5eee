/**
 * The proof of an export: fixed pictures and texts go through the written files on ONNX Runtime and through the model
 * they came from, three at once and one alone.
 */
import { join } from "node:path"
import * as ort from "onnxruntime-node"
import { UserError } from "../core/errors.ts"
import { inputImage } from "../core/fill.ts"
import { type Manifest, type TowerSelfTest, towers } from "../core/manifest.ts"
import { Tokenizer } from "../core/tokenizer.ts"
import type { Clip } from "../model/clip.ts"
import { type TowerName, traceTower } from "./towers.ts"

/**
 * In standard deviations of the embeddings. Two float32 implementations of towers of this depth differ by 1e-6 to
 * 1e-5; a wrong epsilon, padding or weight shows as 1e-3 and more.
 */
const TOLERANCE = 1e-4

/** Of very different lengths, as a causal tower cuts the batch behind the longest; the last one fills the context. */
const texts = ["a photo of a cat.", "", "many words, ".repeat(50)]

/** Rows of a tower's input: pixels [batch, 3, size, size] or token ids [batch, contextLength]. */
export type TowerInput =
  | { readonly tower: "image"; readonly data: Float32Array; readonly shape: readonly number[] }
  | { readonly tower: "text"; readonly data: BigInt64Array; readonly shape: readonly number[] }

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
  model: Clip,
  reference: Reference,
): Promise<Required<Pick<Manifest, "verification" | "selfTest">>> {
  const compare = async (tower: TowerName) => {
    const { error, expected } = await compareTower(join(folder, towers[tower].file), tower, model, reference)
    if (error <= TOLERANCE) return { error, expected }
    throw new UserError(
      Number.isNaN(error)
        ? `the exported ${tower} tower gives values that are not numbers`
        : `the exported ${tower} tower differs from ${reference.name} by ${error.toPrecision(2)} standard deviations; at most ${TOLERANCE} is rounding`,
      "nothing was written; check that the checkpoint's weights are finite, then report this with the model's name",
    )
  }
  const [image, text] = [await compare("image"), await compare("text")]
  return {
    verification: {
      reference: reference.name,
      runtime: `onnxruntime-node ${ort.env.versions.node}`,
      tolerance: TOLERANCE,
      imageError: image.error,
      textError: text.error,
    },
    selfTest: { image: summarize(image.expected), text: summarize(text.expected) },
  }
}

/** The same model before reparameterisation, on ONNX Runtime: what there is to compare with where libtorch is not. */
export function unfusedReference(model: Clip): Reference {
  return {
    name: "onnxruntime-node, not fused",
    embed(input) {
      const file = Buffer.concat([...traceTower(input.tower, model).chunks()])
      return withSession(file, (session) => embed(session, input))
    },
  }
}

async function compareTower(file: string, tower: TowerName, { config }: Clip, reference: Reference) {
  const sizes = { imageSize: config.imageSize, contextLength: config.text.contextLength }
  const [three, one] = [fixedInput(tower, sizes, 3), fixedInput(tower, sizes, 1)]
  const expected = await reference.embed(three)
  return withSession(file, async (session) => {
    const errors = [
      maxDifference(await embed(session, three), expected),
      maxDifference(await embed(session, one), expected),
    ]
    return { error: Math.max(...errors) / standardDeviation(expected), expected }
  })
}

/** Of each embedding of three so many values are kept; its norm tells of the others. */
const VALUES = 8

function summarize(rows: Float32Array): TowerSelfTest {
  const width = rows.length / texts.length
  const each = texts.map((_, i) => rows.subarray(i * width, (i + 1) * width))
  return {
    values: each.map((row) => [...row.subarray(0, VALUES)]),
    norms: each.map((row) => Math.hypot(...row)),
    standardDeviation: standardDeviation(rows),
  }
}

/** The first one to three of the fixed pictures or texts. */
export function fixedInput(
  tower: TowerName,
  { imageSize, contextLength }: { readonly imageSize: number; readonly contextLength: number },
  batch: number,
): TowerInput {
  if (tower === "image") return { tower, data: inputImage(imageSize, batch), shape: [batch, 3, imageSize, imageSize] }
  const { ids, shape } = new Tokenizer().encodeBatch(texts.slice(0, batch), contextLength)
  return { tower, data: ids, shape }
}

export async function embed(session: ort.InferenceSession, { tower, data, shape }: TowerInput): Promise<Float32Array> {
  const { input, output } = towers[tower]
  const type = tower === "image" ? "float32" : "int64"
  const results = await session.run({ [input]: new ort.Tensor(type, data, shape) })
  return results[output]!.data as Float32Array
}

export async function withSession<T>(
  model: string | Uint8Array,
  use: (session: ort.InferenceSession) => Promise<T>,
  options: ort.InferenceSession.SessionOptions = {},
): Promise<T> {
  const session = await ort.InferenceSession.create(model as string, options)
  try {
    return await use(session)
  } finally {
    await session.release()
  }
}

/** Of as many values as `ours` has; NaN where one of them is. */
export function maxDifference(ours: Float32Array, expected: Float32Array): number {
  return ours.reduce((largest, value, i) => Math.max(largest, Math.abs(value - expected[i]!)), 0)
}

export function standardDeviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}
