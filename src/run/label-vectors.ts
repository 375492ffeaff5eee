/** Labels' vectors, made once and kept, so that a classifier needs the image tower alone. */
import { kindOf, requireTexts } from "../core/arguments.ts"
import { UserError } from "../core/errors.ts"
import type { Manifest } from "../core/inference/manifest.ts"

export interface LabelVectors {
  /** Name of the model whose text tower made them. */
  readonly model: string
  /** SHA-256 of the checkpoint that the model was made from; null where no file says. */
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
interface LabelModel {
  readonly name: string
  readonly embedDim: number
  readonly manifest: Manifest | null
}

/** The checkpoint is the same for every type and layout that it was exported in. */
export function weightsOf(manifest: Manifest | null): string | null {
  return manifest?.source?.sha256 ?? null
}

/** Throws UserError where `value` is not whole, or was made by another model: its cosines would mean nothing. */
export function requireLabelVectors(value: unknown, model: LabelModel): asserts value is LabelVectors {
  const { labels, vectors, embedDim, model: name, weights } = Object(value) as Partial<LabelVectors>
  const hint = "give labels, or what `bakeLabels` gives"
  if (!(vectors instanceof Float32Array)) {
    throw new UserError(`labels must be a list of texts, or label vectors, not ${kindOf(value)}`, hint)
  }
  requireTexts(labels, "labels", hint)
  if (embedDim !== model.embedDim || vectors.length !== labels.length * embedDim) {
    const found = `${vectors.length} values for ${labels.length} labels`
    throw new UserError(`the label vectors have ${found}, and the model's are ${model.embedDim} wide`, bakeAgain)
  }
  const own = weightsOf(model.manifest)
  const isSame = weights != null && own !== null ? weights === own : name === model.name
  if (isSame) return
  const which = name === model.name ? `other weights of ${name}` : String(name)
  throw new UserError(`the label vectors were made by ${which}, and this model is ${model.name}`, bakeAgain)
}

const bakeAgain = "make the vectors again with this model"
