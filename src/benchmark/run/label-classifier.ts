/** Zero-shot classifiers: for each class the mean of its prompts' unit vectors, kept by model and templates. */
import { type LabelOptions as EncodeOptions, labelVectors } from "../../core/text/prompts.ts"
import type { VectorCache } from "../../vector-cache/vector-cache.ts"
import type { EvaluatedModel } from "./evaluated-model.ts"
import { cacheIdentity, requireDirections } from "./evaluated-model.ts"

export interface LabelOptions extends Omit<EncodeOptions, "store"> {
  readonly cache: VectorCache | null
}

/** Unit vectors [classes, embedDim]. Throws UserError for a template without a place for the class's name. */
export async function classifierOf(
  model: EvaluatedModel,
  classNames: readonly string[],
  templates: readonly string[],
  { cache, ...options }: LabelOptions,
): Promise<Float32Array> {
  const store = cache?.labelStore([cacheIdentity(model)])
  return requireDirections(await labelVectors(model, classNames, templates, { ...options, store }), model, "class")
}
