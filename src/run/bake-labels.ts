/** Labels encoded once: what a classifier needs beside the image tower, and what is to be known about such labels. */
import { requireTexts } from "../core/arguments.ts"
import { UserError } from "../core/errors.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import { alikeLabels } from "../core/text/alike-labels.ts"
import { defaultTemplates, type LabelOptions, labelVectors } from "../core/text/prompts.ts"
import { weightsDigest } from "./label-file.ts"
import type { LabelVectors } from "./label-vectors.ts"

/** What makes labels' vectors: a `Model` is one. */
export interface LabelEncoder extends Pick<Encoder, "embedDim" | "encodeTexts"> {
  readonly name: string
  readonly logitScale: number | null
  readonly manifest: Manifest | null
}

/**
 * Vectors of `labels`: each is put into every template (`{}` is the label), and the unit vectors of these prompts are averaged.
 * Throws UserError without labels or templates, for a template without `{}`, and where the model has no text tower.
 */
export async function bakeLabels(
  model: LabelEncoder,
  labels: readonly string[],
  templates: readonly string[] = defaultTemplates,
  options: LabelOptions = {},
): Promise<LabelVectors> {
  requireWords(labels, templates)
  const { name, embedDim, logitScale, manifest } = model
  const vectors = await labelVectors(model, labels, templates, options)
  return { model: name, weights: weightsDigest(manifest), embedDim, logitScale, labels, templates, vectors }
}

/** Throws UserError where there are no labels, no templates, or other things than texts. */
export function requireWords(labels: unknown, templates: unknown): void {
  requireTexts(labels, "labels", 'write ["cat", "dog"]')
  requireTexts(templates, "templates", 'write ["a photo of a {}."]')
  if (labels.length === 0) throw new UserError("there are no labels to choose from", "give at least one")
  if (templates.length === 0) throw new UserError("there are no templates", 'leave them out, or give one: ["a {}"]')
}

/** What a score of 1 for every picture does not say. */
const aloneNote =
  'a softmax over one label is always 100 %: whether it fits is told by the cosine, or by a second label such as "something else"'

/** What to know about the labels, in lines: those that the model cannot tell apart, or that there is one alone. */
export function labelNotes({ labels, templates }: Pick<LabelVectors, "labels" | "templates">): string[] {
  return labels.length === 1 ? [aloneNote] : alikeLabels(labels, templates)
}
