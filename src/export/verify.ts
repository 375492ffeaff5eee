/**
 * The proof of an export: fixed pictures and texts go through the written files on ONNX Runtime and through the model
 * they came from, three at once and one alone.
 */
import { join } from "node:path"
import * as ort from "onnxruntime-node"
import { UserError } from "../core/errors.ts"
import { inputImage } from "../core/fill.ts"
import { type Manifest, towers } from "../core/manifest.ts"
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

/** Compares the towers in `folder` with `reference`; throws UserError when they differ or give what is not a number. */
export async function verify(folder: string, model: Clip, reference: Reference): Promise<Manifest["verification"]> {
  const errorOf = async (tower: TowerName) => {
    const error = await towerError(join(folder, towers[tower].file), tower, model, reference)
    if (error <= TOLERANCE) return error
    throw new UserError(
      Number.isNaN(error)
        ? `the exported ${tower} tower gives values that are not numbers`
        : `the exported ${tower} tower differs from ${reference.name} by ${error.toPrecision(2)} standard deviations; at most ${TOLERANCE} is rounding`,
      "nothing was written; check that the checkpoint's weights are finite, then report this with the model's name",
    )
  }
  return {
    reference: reference.name,
    runtime: `onnxruntime-node ${ort.env.versions.node}`,
    tolerance: TOLERANCE,
    imageError: await errorOf("image"),
    textError: await errorOf("text"),
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

async function towerError(file: string, tower: TowerName, model: Clip, reference: Reference): Promise<number> {
  const [three, one] = [fixedInput(tower, model, 3), fixedInput(tower, model, 1)]
  const expected = await reference.embed(three)
  return withSession(file, async (session) => {
    const errors = [
      maxDifference(await embed(session, three), expected),
      maxDifference(await embed(session, one), expected),
    ]
    return Math.max(...errors) / standardDeviation(expected)
  })
}

function fixedInput(tower: TowerName, { config }: Clip, batch: number): TowerInput {
  const { imageSize, text } = config
  if (tower === "image") return { tower, data: inputImage(imageSize, batch), shape: [batch, 3, imageSize, imageSize] }
  const { ids, shape } = new Tokenizer().encodeBatch(texts.slice(0, batch), text.contextLength)
  return { tower, data: ids, shape }
}

async function embed(session: ort.InferenceSession, { tower, data, shape }: TowerInput): Promise<Float32Array> {
  const { input, output } = towers[tower]
  const type = tower === "image" ? "float32" : "int64"
  const results = await session.run({ [input]: new ort.Tensor(type, data, shape) })
  return results[output]!.data as Float32Array
}

async function withSession<T>(
  model: string | Uint8Array,
  use: (session: ort.InferenceSession) => Promise<T>,
): Promise<T> {
  const session = await ort.InferenceSession.create(model as string)
  try {
    return await use(session)
  } finally {
    await session.release()
  }
}

/** Of as many values as `ours` has; NaN where one of them is. */
function maxDifference(ours: Float32Array, expected: Float32Array): number {
  return ours.reduce((largest, value, i) => Math.max(largest, Math.abs(value - expected[i]!)), 0)
}

function standardDeviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}
