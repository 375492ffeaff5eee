/** Labels' vectors, made once and kept, so that a classifier needs the image tower alone. */
import { kindOf, requireMethods, requireTexts } from "../../core/arguments.ts"
import { UserError } from "../../core/errors.ts"
import type { Encoder } from "../../core/inference/encoder.ts"
import type { Manifest } from "../../core/inference/manifest.ts"
import type { LabelStore } from "../../core/text/label-store.ts"
import { defaultTemplates, type LabelOptions, labelVectors } from "../../core/text/prompts.ts"

export interface LabelVectors {
  /** Name of the model whose text tower made them. */
  readonly model: string
  /** SHA-256 of the checkpoint that the model was made from, or of its text tower; null where no file says. */
  readonly weights: string | null
  readonly embedDim: number
  /** Factor on cosines before a softmax; null where no file says. */
  readonly logitScale: number | null
  readonly labels: readonly string[]
  readonly templates: readonly string[]
  /** Unit vectors [labels, embedDim] */
  readonly vectors: Float32Array
}

/** What label vectors must agree with. */
interface LabelModel extends Pick<Encoder, "embedDim"> {
  readonly name: string
  readonly manifest: Manifest | null
}

/** What makes labels' vectors: a `Model` is one. */
interface LabelEncoder extends LabelModel, Pick<Encoder, "encodeTexts"> {
  readonly logitScale: number | null
  /** Where vectors are kept between runs; they are not where it is absent. */
  readonly labelStore?: LabelStore | null | undefined
}

/**
 * Vectors of `labels`: each is put into every template (`{}` is the label), and the unit vectors of these prompts are averaged.
 * Throws UserError without labels or templates, for a template without `{}`, and where the model has no text tower.
 */
export async function bakeLabels(
  model: LabelEncoder,
  labels: readonly string[],
  templates: readonly string[] = defaultTemplates,
  options: Omit<LabelOptions, "store"> = {},
): Promise<LabelVectors> {
  requireMethods(model, ["encodeTexts"], "a model", "give what `await loadModel(...)` gives")
  requireWords(labels, templates)
  const { name, embedDim, logitScale, manifest, labelStore: store } = model
  const vectors = await labelVectors(model, labels, templates, { ...options, store })
  return { model: name, weights: weightsDigest(manifest), embedDim, logitScale, labels, templates, vectors }
}

/** Throws UserError without labels or templates. */
export function requireWords(labels: unknown, templates: unknown): void {
  requireLabels(labels)
  requireTexts(templates, "templates", 'write ["a photo of a {}."]')
  if (labels.length === 0) throw new UserError("there are no labels to choose from", "give at least one")
  if (templates.length === 0) throw new UserError("there are no templates", 'leave them out, or give one: ["a {}"]')
}

/** An empty label, as `"cat,dog,".split(",")` has one, would get a share of the probability. */
export function requireLabels(labels: unknown): asserts labels is readonly string[] {
  requireTexts(labels, "labels", labelHint)
  const empty = labels.findIndex((label) => label.trim() === "")
  if (empty >= 0) throw new UserError(`labels: number ${empty + 1} is empty`, "leave it out")
}

export const labelHint = 'write ["cat", "dog"]'

/**
 * What labels' vectors belong to: the checkpoint that the model was made from, which is the same for every type and layout of
 * its towers, else the file of the text tower. Null where no file says.
 */
export function weightsDigest(manifest: Manifest | null): string | null {
  if (manifest === null) return null
  const { source, towers, files } = manifest
  return source?.sha256 ?? files[(towers.text ?? towers.image).file]?.sha256 ?? null
}

/** Throws UserError where `value` is not whole, or was made by another model: its cosines would mean nothing. */
export function requireLabelVectors(value: unknown, model: LabelModel): asserts value is LabelVectors {
  const { labels, templates, vectors, embedDim, model: name, weights } = Object(value) as Partial<LabelVectors>
  const hint = "give labels, or what `bakeLabels` gives"
  if (!(vectors instanceof Float32Array)) {
    throw new UserError(`labels must be a list of texts, or label vectors, not ${kindOf(value)}`, hint)
  }
  requireTexts(labels, "labels", hint)
  requireTexts(templates, "templates", hint)
  if (embedDim !== model.embedDim || vectors.length !== labels.length * embedDim) {
    const found = `${vectors.length} values for ${labels.length} labels`
    throw new UserError(`the label vectors have ${found}, and the model's are ${model.embedDim} wide`, bakeAgain)
  }
  const own = weightsDigest(model.manifest)
  const isSame = weights != null && own !== null ? weights === own : name === model.name
  if (isSame) return
  const which = name === model.name ? `other weights of ${name}` : String(name)
  throw new UserError(`the label vectors were made by ${which}, and this model is ${model.name}`, bakeAgain)
}

const bakeAgain = "make the vectors again with this model"
