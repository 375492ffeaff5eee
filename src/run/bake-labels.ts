/** Labels encoded once by a `Model`: what a classifier needs beside the image tower. */
import { requireMethods } from "../core/arguments.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import { defaultTemplates, type LabelOptions, labelVectors } from "../core/text/prompts.ts"
import { requireWords } from "./classify.ts"
import { type LabelVectors, weightsDigest } from "./label-vectors.ts"

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
  requireMethods(model, ["encodeTexts"], "a model", "give what `await loadModel(...)` gives")
  requireWords(labels, templates)
  const { name, embedDim, logitScale, manifest } = model
  const vectors = await labelVectors(model, labels, templates, options)
  return { model: name, weights: weightsDigest(manifest), embedDim, logitScale, labels, templates, vectors }
}
