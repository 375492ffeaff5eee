/** Labels to vectors: the zero-shot classifier as open_clip builds it. */

import { l2Normalize } from "../arrays/similarity.ts"
import { UserError } from "../errors.ts"
import type { Encoder } from "../inference/encoder.ts"

/** What a label is put into where nothing else is asked for. */
export const defaultTemplates = ["a photo of a {}."] as const

/**
 * Unit vectors [labels, embedDim]: each template is filled with the label and encoded to a unit vector; a label is the
 * mean over templates, normalised again. Throws UserError for a template without a place for the label.
 */
export async function labelVectors(
  encoder: Pick<Encoder, "embedDim" | "encodeTexts">,
  labels: readonly string[],
  templates: readonly string[],
): Promise<Float32Array> {
  const width = encoder.embedDim
  const prompts = labels.flatMap((label) => templates.map((template) => fillTemplate(template, label)))
  const vectors = l2Normalize(await encoder.encodeTexts(prompts), width)
  const means = new Float32Array(labels.length * width)
  vectors.forEach((value, i) => {
    means[Math.floor(i / (templates.length * width)) * width + (i % width)]! += value / templates.length
  })
  return l2Normalize(means, width)
}

/** Puts `label` in place of `{}`, or of CLIP_benchmark's `{c}`, wherever it stands. */
export function fillTemplate(template: string, label: string): string {
  if (/\{c?\}/.test(template)) return template.replaceAll(/\{c?\}/g, () => label)
  throw new UserError(`the template "${template}" has no {}`, 'write {} where the label goes: "a photo of a {}."')
}
