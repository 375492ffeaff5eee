/**
 * Labels' vectors as a file (docs/formats.md): one JSON object, with the vectors as base64 of little-endian float32, so that a
 * browser reads it without a parser of its own.
 */
import { z } from "zod"
import { messageOf, oneLine, UserError } from "../../core/errors.ts"
import { widestVector } from "../../core/family/size-limits.ts"
import { jsonOrNull } from "../../core/json.ts"
import { type LabelVectors, requireLabelVectors } from "./label-vectors.ts"

export const labelFileFormat = "mobileclip-labels-1"

const schema = z.object({
  format: z.literal(labelFileFormat),
  model: z.string(),
  weights: z.string().nullable(),
  embedDim: z.int().positive().max(widestVector),
  logitScale: z.number().positive().nullable(),
  labels: z.array(z.string()).min(1),
  templates: z.array(z.string()).min(1),
  vectors: z.string(),
})

/** A text has at most 2 ** 29 letters in some engines, and a value takes 16 / 3 of them. */
const mostValues = 9e7

/** Before labels are encoded for a file. Throws UserError where they would not fit into it. */
export function requireRoomFor(labels: number, embedDim: number): void {
  const most = Math.floor(mostValues / embedDim)
  if (labels <= most) return
  throw new UserError(
    `the vectors of ${labels} labels, ${embedDim} values each, do not fit into a file`,
    `give ${most} labels at most`,
  )
}

/** The text of the file. Equal vectors give equal bytes. */
export function serializeLabels({ vectors, ...about }: LabelVectors): string {
  const { model, weights, embedDim, logitScale, labels, templates } = about
  const head = { format: labelFileFormat, model, weights, embedDim, logitScale, labels, templates }
  return `${JSON.stringify({ ...head, vectors: toBase64(vectors) })}\n`
}

/** @param source a path or an address, for the message. Throws UserError where the text is not such a file, or a part of one. */
export function parseLabels(text: string, source: string): LabelVectors {
  const parsed = schema.safeParse(jsonOrNull(text))
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!
    const where = path.length === 0 ? "it is not a JSON object" : `${oneLine(path.join("."))}: ${message}`
    throw new UserError(
      `${source} is not a file of labels' vectors of format "${labelFileFormat}": ${where}`,
      "`mobileclip bake-labels` writes one; a list of words is read by --labels-file",
    )
  }
  const { format: _, ...labels } = parsed.data
  return { ...labels, vectors: checkedVectors(labels, source) }
}

/**
 * Throws UserError where the vectors were made by another model: cosines between two models mean nothing.
 *
 * @param source the file, for the message
 */
export function requireLabelsOf(
  labels: LabelVectors,
  model: Parameters<typeof requireLabelVectors>[1],
  source: string,
): void {
  try {
    requireLabelVectors(labels, model)
  } catch (error) {
    throw new UserError(
      `${source}: ${messageOf(error)}`,
      "make it again from this model: `mobileclip bake-labels --model MODEL --labels-file FILE --out FILE`",
    )
  }
}

function checkedVectors(
  { labels, embedDim, vectors }: Pick<z.infer<typeof schema>, "labels" | "embedDim" | "vectors">,
  source: string,
): Float32Array {
  const values = fromBase64(vectors)
  const expected = labels.length * embedDim
  if (values?.length !== expected) {
    const found = values === null ? "not base64 of float32" : `${values.length} values`
    throw damaged(`${source}: the vectors are ${found}, and ${labels.length} labels of ${embedDim} were expected`)
  }
  if (!values.every(Number.isFinite)) throw damaged(`${source}: the vectors have values that are not numbers`)
  return values
}

function damaged(message: string): UserError {
  return new UserError(message, "the file is damaged: make it again with `mobileclip bake-labels`")
}

const alphabet = new TextEncoder().encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
const padding = "=".charCodeAt(0)

/** By a loop of its own: `btoa` takes a string, which takes seconds to make of many bytes. */
function toBase64(values: Float32Array): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const text = new Uint8Array(4 * Math.ceil(bytes.length / 3)).fill(padding)
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    const three = (bytes[from]! << 16) | ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0)
    const letters = Math.min(bytes.length - from, 3) + 1
    for (let i = 0; i < letters; i++) text[to + i] = alphabet[(three >> (18 - 6 * i)) & 63]!
  }
  return new TextDecoder().decode(text)
}

/** Letters that become bytes at a time. */
const lettersAtOnce = 2 ** 14
const bytesAtOnce = (lettersAtOnce / 4) * 3

/** Null where the text is something else. */
function fromBase64(text: string): Float32Array | null {
  const bytes = new Uint8Array(3 * Math.ceil(text.length / 4))
  let length = 0
  for (let at = 0; at < text.length; at += lettersAtOnce) {
    const binary = decoded(text.slice(at, at + lettersAtOnce))
    // The piece before may have ended early.
    if (binary === null || length !== (at / lettersAtOnce) * bytesAtOnce) return null
    for (let i = 0; i < binary.length; i++) bytes[length++] = binary.charCodeAt(i)
  }
  return length % 4 === 0 ? new Float32Array(bytes.buffer, 0, length / 4) : null
}

function decoded(text: string): string | null {
  try {
    return atob(text)
  } catch {
    return null
  }
}
