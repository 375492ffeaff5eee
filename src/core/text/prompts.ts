/** Labels to vectors: the zero-shot classifier as open_clip builds it. */

import { l2Normalize } from "../arrays/similarity.ts"
import { UserError } from "../errors.ts"
import type { Encoder } from "../inference/encoder.ts"

/** What a label is put into where nothing else is asked for. */
export const defaultTemplates = ["a photo of a {}."] as const

export interface LabelOptions {
  /** Is told how many of all prompts are encoded. */
  readonly onPrompts?: (done: number, total: number) => void
  readonly signal?: AbortSignal | undefined
}

/** Prompts that are encoded at a time: those of 1,000 labels in 80 templates would take hundreds of megabytes together. */
const promptsAtOnce = 512

/**
 * Unit vectors [labels, embedDim]: each template is filled with the label and encoded to a unit vector; a label is the
 * mean over templates, normalised again. Throws UserError for a template without a place for the label, and the signal's reason.
 */
export async function labelVectors(
  encoder: Pick<Encoder, "embedDim" | "encodeTexts">,
  labels: readonly string[],
  templates: readonly string[],
  { onPrompts, signal }: LabelOptions = {},
): Promise<Float32Array> {
  for (const template of templates) fillTemplate(template, "")
  const [width, total] = [encoder.embedDim, labels.length * templates.length]
  const labelOf = (prompt: number) => Math.floor(prompt / templates.length)
  const means = new Float32Array(labels.length * width)
  onPrompts?.(0, total)
  for (let from = 0; from < total; from += promptsAtOnce) {
    signal?.throwIfAborted()
    const prompts = Array.from({ length: Math.min(promptsAtOnce, total - from) }, (_, i) =>
      fillTemplate(templates[(from + i) % templates.length]!, labels[labelOf(from + i)]!),
    )
    const vectors = l2Normalize(await encoder.encodeTexts(prompts, { signal }), width)
    vectors.forEach((value, i) => {
      means[labelOf(from + Math.floor(i / width)) * width + (i % width)]! += value / templates.length
    })
    onPrompts?.(from + prompts.length, total)
  }
  return l2Normalize(means, width)
}

/** Puts `label` in place of `{}`, or of CLIP_benchmark's `{c}`, wherever it stands. */
export function fillTemplate(template: string, label: string): string {
  if (/\{c?\}/.test(template)) return template.replaceAll(/\{c?\}/g, () => label)
  throw new UserError(`the template "${template}" has no {}`, 'write {} where the label goes: "a photo of a {}."')
}
