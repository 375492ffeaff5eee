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

/** Characters that are made from bytes at a time: a call takes only so many arguments. */
const charactersAtOnce = 2 ** 13

function toBase64(values: Float32Array): string {
  const view = new DataView(new ArrayBuffer(4 * values.length))
  values.forEach((value, i) => {
    view.setFloat32(4 * i, value, true)
  })
  const bytes = new Uint8Array(view.buffer)
  const parts: string[] = []
  for (let at = 0; at < bytes.length; at += charactersAtOnce)
    parts.push(String.fromCharCode(...bytes.subarray(at, at + charactersAtOnce)))
  return btoa(parts.join(""))
}

/** Null where the text is something else. */
function fromBase64(text: string): Float32Array | null {
  const binary = decoded(text)
  if (binary === null || binary.length % 4 !== 0) return null
  const view = new DataView(Uint8Array.from(binary, (letter) => letter.charCodeAt(0)).buffer)
  return Float32Array.from({ length: binary.length / 4 }, (_, i) => view.getFloat32(4 * i, true))
}

function decoded(text: string): string | null {
  try {
    return atob(text)
  } catch {
    return null
  }
}
