/** What several protocols do alike: pictures of many forms, vectors in many types. */
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { Tokenizer } from "../../core/text/tokenizer.ts"
import { nextTurn } from "../../core/turns.ts"
import type { ServedModel } from "../engine/model-work.ts"
import { type Content, readPicture } from "../http/content.ts"
import type { ServeContext } from "../http/context.ts"
import { RequestError } from "../http/errors.ts"

/** A model reads 77 tokens: a text that has more characters than they could is read no further, as reading takes time. */
const mostCharacters = 2000

export function textContent(text: string): Content {
  if (text.length <= mostCharacters) return { kind: "text", text }
  // For a tokenizer white space is one space, however much there is.
  const whole = text.replace(/\s+/g, " ").trim()
  return { kind: "text", text: whole.slice(0, mostCharacters), isCut: whole.length > mostCharacters }
}

/** @param field names it in messages: "input[3]" */
export async function pictureContent(
  value: string,
  field: string,
  { fetchPicture }: ServeContext,
  signal: AbortSignal,
): Promise<Content> {
  return { kind: "picture", bytes: await readPicture(value, field, fetchPicture, signal) }
}

/** The mean of unit vectors, of length 1 again. */
export function meanOf(vectors: readonly Float32Array[], embedDim: number): Float32Array {
  if (vectors.length === 1) return vectors[0]!
  const sum = new Float32Array(embedDim)
  for (const vector of vectors) for (let i = 0; i < embedDim; i++) sum[i]! += vector[i]!
  return l2Normalize(sum, embedDim)
}

/** Little-endian float32. */
export function base64Of({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64")
}

/** Types of vectors, as Cohere names them. */
export const vectorTypes = ["float", "int8", "uint8", "binary", "ubinary", "base64"] as const
export type VectorType = (typeof vectorTypes)[number]

/**
 * A unit vector in another type. int8 is the vector over its largest absolute value, times 127, so that cosines stay (a factor
 * for all vectors would leave CLIP's small values few steps); uint8 is that plus 128; binary has a bit for each value, 1 where it
 * is above zero, the first in the highest bit of a byte, as numpy's packbits; `binary` is that minus 128.
 */
export function inType(vector: Float32Array, type: VectorType): number[] | string {
  if (type === "float") return [...vector]
  if (type === "base64") return base64Of(vector)
  if (type === "binary" || type === "ubinary") {
    const bytes = packBits(vector)
    return type === "ubinary" ? bytes : bytes.map((byte) => byte - 128)
  }
  const largest = vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1
  return Array.from(vector, (value) => Math.round((value / largest) * 127) + (type === "uint8" ? 128 : 0))
}

function packBits(vector: Float32Array): number[] {
  const bytes = Array<number>(Math.ceil(vector.length / 8)).fill(0)
  vector.forEach((value, i) => {
    if (value > 0) bytes[i >> 3]! |= 0x80 >> (i & 7)
  })
  return bytes
}

let tokenizer: Tokenizer | null = null

/**
 * Tokens of texts, the two at a text's ends included.
 *
 * @returns total: those that the model reads, of all texts; longest: those of the longest one, Infinity where it was cut
 */
export async function tokensOf(
  contents: readonly Content[],
  { contextLength }: ServedModel,
): Promise<{ total: number; longest: number }> {
  tokenizer ??= new Tokenizer()
  let [total, longest, began] = [0, 0, performance.now()]
  for (const content of contents) {
    const { length } = content.kind === "text" ? tokenizer.encode(content.text) : []
    total += Math.min(length, contextLength ?? length)
    longest = Math.max(longest, content.kind === "text" && content.isCut ? Number.POSITIVE_INFINITY : length)
    if (performance.now() - began < longestTurn) continue
    await nextTurn()
    began = performance.now()
  }
  return { total, longest }
}

/** Milliseconds for which other requests wait. */
const longestTurn = 10

/** For clients that do not want a text's end to be cut off. Throws RequestError where the model reads less of it. */
export function requireWhole(longest: number, { contextLength }: ServedModel, field: string): void {
  if (contextLength === null || longest <= contextLength) return
  const what = `a text has more than the ${contextLength} tokens that the model reads`
  throw new RequestError("invalid", `${what}: shorten it, or let its end be cut off`, field)
}

export function requireOwnDimension(dimension: number | null | undefined, embedDim: number, field: string): void {
  if (dimension == null || dimension === embedDim) return
  throw new RequestError("invalid", `this model's vectors have ${embedDim} values and cannot be shortened`, field)
}
