/** What the suite needs of a model, whatever runs it: a folder of ONNX towers, a checkpoint, or a model in training. */
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { Encoder } from "../../core/inference/encoder.ts"

interface TextEncoder {
  readonly name: string
  /** Width of its vectors. */
  readonly embedDim: number
  /** What its numbers depend on: hashes of its weights, and how pixels are prepared. Vectors are kept under it. */
  readonly identity: string
  /** Texts, of any number -> [texts, embedDim]; lengths mean nothing. */
  encodeTexts(texts: readonly string[]): Promise<Float32Array>
}

/** Its pixels can be made beside the event loop, and once for several models that agree on them. */
export interface PixelModel extends TextEncoder {
  readonly preprocessing: Preprocessing
  /** Normalised pixels [count, 3, size, size] -> [count, embedDim] */
  encodePixels(pixels: Float32Array, count: number): Promise<Float32Array>
}

/** It prepares decoded pictures itself. */
export interface PictureModel extends TextEncoder {
  /** N pictures -> [N, embedDim] */
  encodeImages(images: readonly Image8[]): Promise<Float32Array>
}

/** A `Teacher` is one as it is; an `Encoder` with a name and an identity is one too. */
export type EvaluatedModel = PixelModel | PictureModel

/**
 * An encoder as a model: a live one in training, or any of one's own.
 *
 * @param identity what its numbers depend on; where they change from call to call, evaluate without a cache
 */
export function encoderModel(name: string, identity: string, encoder: Encoder): PictureModel {
  return {
    ...{ name, identity, embedDim: encoder.embedDim },
    encodeImages: (images) => encoder.encodeImages(images),
    encodeTexts: (texts) => encoder.encodeTexts(texts),
  }
}

/** What a results folder says of a model beside its name and identity; null where it is not known. */
export interface ModelFacts {
  /** Key of the variant table. */
  readonly variant: string | null
  /** Learned values of both towers. */
  readonly parameters: number | null
  /** For one picture and one text. */
  readonly latencyMs: number | null
  readonly licence: string | null
  readonly trainedOn: string | null
}

export const noFacts: ModelFacts = { variant: null, parameters: null, latencyMs: null, licence: null, trainedOn: null }

/** Rows of unit length. Throws UserError as `requireDirections` does. */
export function unitVectors(vectors: Float32Array, model: TextEncoder, what: string): Float32Array {
  return requireDirections(l2Normalize(vectors, model.embedDim), model, what)
}

/** Unit vectors as they are. Throws UserError for rows that have no direction: their cosines would be zeros, or not numbers. */
export function requireDirections(unit: Float32Array, { embedDim, name }: TextEncoder, what: string): Float32Array {
  for (let row = 0; row < unit.length; row += embedDim) {
    let squares = 0
    for (let i = row; i < row + embedDim; i++) squares += unit[i]! * unit[i]!
    if (squares > 0.5 && squares < 2) continue
    throw new UserError(
      `${name} gave ${what} ${row / embedDim + 1} of a batch a vector without a direction`,
      "`mobileclip doctor` tests a model; a float16 one may overflow",
    )
  }
  return unit
}

/** What a model's vectors depend on: its identity without its name, because the same weights may be called differently. */
export function cacheIdentity({ name, identity }: Pick<TextEncoder, "name" | "identity">): string {
  return identity.startsWith(`${name} `) ? identity.slice(name.length + 1) : identity
}
