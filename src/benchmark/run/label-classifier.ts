/** Zero-shot classifiers: for each class the mean of its prompts' unit vectors, kept by model and prompts. */
import { createHash } from "node:crypto"
import { type LabelOptions as EncodeOptions, labelVectors } from "../../core/text/prompts.ts"
import type { VectorCache } from "../cache/vector-cache.ts"
import type { EvaluatedModel } from "./evaluated-model.ts"
import { cacheIdentity, requireDirections } from "./evaluated-model.ts"

export interface LabelOptions extends EncodeOptions {
  readonly cache: VectorCache | null
}

/** Unit vectors [classes, embedDim]. Throws UserError for a template without a place for the class's name. */
export async function classifierOf(
  model: EvaluatedModel,
  classNames: readonly string[],
  templates: readonly string[],
  options: LabelOptions,
): Promise<Float32Array> {
  const make = async () => requireDirections(await labelVectors(model, classNames, templates, options), model, "class")
  if (!options.cache) return make()
  const prompts = createHash("sha256")
    .update(JSON.stringify([classNames, templates]))
    .digest("hex")
  return options.cache.vectorsOr(["labels 1", cacheIdentity(model), prompts], model.embedDim, make)
}
