/** Zero-shot classifiers: for each class the mean of its prompts' unit vectors, made class by class and kept by model and prompts. */
import { createHash } from "node:crypto"
import { labelVectors } from "../../core/text/prompts.ts"
import type { VectorCache } from "../cache/vector-cache.ts"
import type { EvaluatedModel } from "./evaluated-model.ts"
import { cacheIdentity, requireDirections } from "./evaluated-model.ts"

/** Prompts that are encoded at a time: 80 templates of 1,000 classes would take hundreds of megabytes. */
const promptsAtOnce = 512

export interface LabelOptions {
  readonly cache: VectorCache | null
  /** Is told how many of all prompts are encoded. */
  readonly onPrompts?: (done: number, total: number) => void
  readonly signal?: AbortSignal | undefined
}

/** Unit vectors [classes, embedDim]. Throws UserError for a template without a place for the class's name. */
export async function classifierOf(
  model: EvaluatedModel,
  classNames: readonly string[],
  templates: readonly string[],
  options: LabelOptions,
): Promise<Float32Array> {
  const make = () => encodeLabels(model, classNames, templates, options)
  if (!options.cache) return make()
  const prompts = createHash("sha256")
    .update(JSON.stringify([classNames, templates]))
    .digest("hex")
  return options.cache.vectorsOr(["labels 1", cacheIdentity(model), prompts], model.embedDim, make)
}

async function encodeLabels(
  model: EvaluatedModel,
  classNames: readonly string[],
  templates: readonly string[],
  { onPrompts, signal }: LabelOptions,
): Promise<Float32Array> {
  const vectors = new Float32Array(classNames.length * model.embedDim)
  const atOnce = Math.max(1, Math.floor(promptsAtOnce / templates.length))
  onPrompts?.(0, classNames.length * templates.length)
  for (let from = 0; from < classNames.length; from += atOnce) {
    signal?.throwIfAborted()
    const names = classNames.slice(from, from + atOnce)
    const labels = requireDirections(await labelVectors(model, names, templates), model, "class")
    vectors.set(labels, from * model.embedDim)
    onPrompts?.((from + names.length) * templates.length, classNames.length * templates.length)
  }
  return vectors
}
