/** Zero-shot classification: which of some labels fits a picture best. */

import { kindOf, requireImages, requireList, requireMethods } from "../core/arguments.ts"
import { batchesOf } from "../core/arrays/batches.ts"
import { l2Normalize } from "../core/arrays/similarity.ts"
import { UserError } from "../core/errors.ts"
import type { Image8 } from "../core/image/pixels.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import { defaultTemplates, labelVectors } from "../core/text/prompts.ts"
import { labelNotes, requireWords } from "./bake-labels.ts"
import { type LabelScore, rankLabels } from "./rank-labels.ts"

export interface Classifier {
  readonly labels: readonly string[]
  /** What to know about the labels, in lines: those that the model cannot tell apart, or that there is one alone. */
  readonly notes: readonly string[]
  /** For each image all labels, the best first. */
  classify(images: readonly Image8[]): Promise<LabelScore[][]>
}

/**
 * A classifier of `labels`, which are encoded once: each in every template (`{}` is the label), the unit vectors
 * averaged. Throws UserError without labels or templates, and for a template without `{}`.
 */
export async function createClassifier(
  model: Encoder & { readonly logitScale: number | null },
  labels: readonly string[],
  templates: readonly string[] = defaultTemplates,
): Promise<Classifier> {
  requireMethods(model, ["encodeImages", "encodeTexts"], "a model", "give what `await loadModel(...)` gives")
  requireWords(labels, templates)
  const { embedDim, logitScale } = model
  const vectors = await labelVectors(model, labels, templates)
  return {
    labels,
    notes: labelNotes({ labels, templates }),
    async classify(images) {
      requireImages(images)
      const pictures = l2Normalize(await model.encodeImages(images), embedDim)
      return rankLabels(pictures, { labels, vectors, embedDim, logitScale })
    },
  }
}

type Classified<Source> =
  | { readonly source: Source; readonly labels: LabelScore[] }
  | { readonly source: Source; readonly error: UserError }

/** Pictures decoded and held at once; the largest take 300 MB each. */
const BATCH = 4

/** Classifies pictures as `decode` gives them, in order; one that cannot be decoded gives the reason and the rest go on. */
export async function* classifyEach<Source>(
  classifier: Classifier,
  sources: readonly Source[],
  decode: (source: Source) => Image8 | Promise<Image8>,
): AsyncGenerator<Classified<Source>> {
  requireMethods(classifier, ["classify"], "a classifier", "give what `await createClassifier(...)` gives")
  requireList(sources, "sources", "pictures", "write [path]")
  if (typeof decode !== "function")
    throw new UserError(`decode must be a function, not ${kindOf(decode)}`, "give decodeImage")
  for await (const batch of batchesOf(sources, BATCH)) {
    const decoded = await Promise.all(
      batch.map(async (source) => decode(source)).map((image) => image.catch(asUserError)),
    )
    const results = await classifier.classify(decoded.filter(isImage))
    for (const [i, source] of batch.entries()) {
      const image = decoded[i]!
      yield isImage(image) ? { source, labels: results.shift()! } : { source, error: image }
    }
  }
}

function isImage(decoded: Image8 | UserError): decoded is Image8 {
  return !(decoded instanceof UserError)
}

function asUserError(error: unknown): UserError {
  if (error instanceof UserError) return error
  throw error
}
