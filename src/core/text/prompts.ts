/** Labels to vectors: the zero-shot classifier as open_clip builds it. */

import { l2Normalize } from "../arrays/similarity.ts"
import { UserError } from "../errors.ts"
import type { Encoder } from "../inference/encoder.ts"
import type { LabelStore, LabelTable } from "./label-store.ts"

/** What a label is put into where nothing else is asked for. */
export const defaultTemplates = ["a photo of a {}."] as const

export interface LabelOptions {
  /** Is told how many of the prompts that are to be encoded were. */
  readonly onPrompts?: ((done: number, total: number) => void) | undefined
  /** Where vectors are kept between runs: only what is not there is encoded. */
  readonly store?: LabelStore | null | undefined
  /** Is told how many of the labels had kept vectors, and of how many prompts all labels are, where vectors are kept. */
  readonly onKept?: ((kept: number, labels: number, prompts: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

type TextEncoder = Pick<Encoder, "embedDim" | "encodeTexts">

/** Prompts that are encoded at a time: those of 1,000 labels in 80 templates would take hundreds of megabytes together. */
const promptsAtOnce = 512

/**
 * Unit vectors [labels, embedDim]: each template is filled with the label and encoded to a unit vector; a label is the
 * mean over templates, normalised again. Throws UserError for a template without a place for the label, and the signal's reason.
 */
export async function labelVectors(
  encoder: TextEncoder,
  labels: readonly string[],
  templates: readonly string[],
  { store = null, onKept, ...options }: LabelOptions = {},
): Promise<Float32Array> {
  for (const template of templates) fillTemplate(template, "")
  const vectors = new Float32Array(labels.length * encoder.embedDim)
  const table = (await store?.open(labels.length, templates, encoder.embedDim)) ?? null
  const missing = table ? await table.find(labels, vectors) : labels.map((_, row) => row)
  if (table) onKept?.(labels.length - missing.length, labels.length, labels.length * templates.length)
  await encodeRows(missing, vectors, { encoder, labels, templates, table, ...options })
  if (missing.length > 0) await table?.end()
  return vectors
}

interface Encoding extends Pick<LabelOptions, "onPrompts" | "signal"> {
  readonly encoder: TextEncoder
  readonly labels: readonly string[]
  readonly templates: readonly string[]
  readonly table: LabelTable | null
}

/** Some labels at a time, which are kept as soon as they are there: an interruption loses those under way. */
async function encodeRows(rows: readonly number[], vectors: Float32Array, encoding: Encoding): Promise<void> {
  const { encoder, labels, templates, table, onPrompts } = encoding
  const total = rows.length * templates.length
  const labelsAtOnce = Math.max(1, Math.floor(promptsAtOnce / templates.length))
  if (total > 0) onPrompts?.(0, total)
  for (let from = 0; from < rows.length; from += labelsAtOnce) {
    const own = rows.slice(from, from + labelsAtOnce)
    const some = own.map((row) => labels[row]!)
    const onDone = (done: number) => onPrompts?.(from * templates.length + done, total)
    const means = await meansOf(some, encoding, onDone)
    own.forEach((row, i) => {
      vectors.set(means.subarray(i * encoder.embedDim, (i + 1) * encoder.embedDim), row * encoder.embedDim)
    })
    await table?.keep(some, means)
  }
}

/** Unit vectors [labels, embedDim] of some labels. */
async function meansOf(
  labels: readonly string[],
  { encoder, templates, signal }: Encoding,
  onDone: (prompts: number) => void,
): Promise<Float32Array> {
  const [width, total] = [encoder.embedDim, labels.length * templates.length]
  const labelOf = (prompt: number) => Math.floor(prompt / templates.length)
  const means = new Float32Array(labels.length * width)
  for (let from = 0; from < total; from += promptsAtOnce) {
    signal?.throwIfAborted()
    const prompts = Array.from({ length: Math.min(promptsAtOnce, total - from) }, (_, i) =>
      fillTemplate(templates[(from + i) % templates.length]!, labels[labelOf(from + i)]!),
    )
    const vectors = l2Normalize(await encoder.encodeTexts(prompts, { signal }), width)
    for (let i = 0; i < prompts.length; i++)
      addShare(means, labelOf(from + i) * width, vectors.subarray(i * width, (i + 1) * width), templates.length)
    onDone(from + prompts.length)
  }
  return l2Normalize(means, width)
}

/** Adds one of `count` vectors to the mean that begins at `start`. */
function addShare(means: Float32Array, start: number, vector: Float32Array, count: number): void {
  for (let i = 0; i < vector.length; i++) means[start + i]! += vector[i]! / count
}

/** Puts `label` in place of `{}`, or of CLIP_benchmark's `{c}`, wherever it stands. */
export function fillTemplate(template: string, label: string): string {
  if (/\{c?\}/.test(template)) return template.replaceAll(/\{c?\}/g, () => label)
  throw new UserError(`the template "${template}" has no {}`, 'write {} where the label goes: "a photo of a {}."')
}
