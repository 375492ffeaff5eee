/** What several protocols do alike: pictures of many forms, vectors in many types. */
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { Tokenizer } from "../../core/text/tokenizer.ts"
import { type Content, readPicture } from "../http/content.ts"
import type { ServeContext } from "../http/context.ts"

export function textContent(text: string): Content {
  return { kind: "text", text }
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

/** Tokens of all texts, the two at a text's ends included. */
export function tokensOf(contents: readonly Content[]): number {
  tokenizer ??= new Tokenizer()
  let count = 0
  for (const content of contents) if (content.kind === "text") count += tokenizer.encode(content.text).length
  return count
}
