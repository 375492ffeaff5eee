/** Weights that training begins with: a checkpoint of any origin, a folder with one, or a released name. */
import { UserError } from "../core/errors.ts"
import { findModel } from "../core/family/variant-name.ts"
import type { ModelConfig } from "../core/family/variants.ts"
import type { PullWeights } from "../hub/pull.ts"
import type { CheckpointInfo, CheckpointModel } from "../model/checkpoint/checkpoint.ts"
import { Clip } from "../model/clip.ts"
import { Coca } from "../model/coca.ts"
import { findModelFiles } from "./find-model.ts"
import { sourceOf } from "./open-checkpoint.ts"
import { type Weights, withWeights } from "./open-weights.ts"

export interface StartModel {
  readonly info: CheckpointInfo<ModelConfig>
  /** Parameters and buffers by path. */
  readonly tensors: ReadonlyMap<string, Float32Array>
  /** The file's name and hash. */
  readonly source: Awaited<ReturnType<typeof sourceOf>>
  /** What the file was found to be, for people. */
  readonly description: string
}

/**
 * @param name a file of weights, a folder with one, a run's folder, or a name to pull
 * @param variant which member of the family it is, where its contents leave a choice
 * @throws UserError where there are no weights, or none that can be trained
 */
export async function readStartModel(
  name: string,
  variant: string | null,
  options: StartOptions = {},
): Promise<StartModel> {
  return withStart(name, variant, options, async (path, weights) => ({
    info: infoOf(path, weights),
    tensors: new Map([...trainable(path, weights).namedParameters()].map(([key, value]) => [key, value.read()])),
    source: await sourceOf(path),
    description: weights.description,
  }))
}

/** What the same weights say of themselves, without reading their values. */
export function startModelInfo(
  name: string,
  variant: string | null,
  options: StartOptions = {},
): Promise<StartModel["info"]> {
  return withStart(name, variant, options, async (path, weights) => infoOf(path, weights))
}

interface StartOptions {
  readonly signal?: AbortSignal
  readonly pull?: PullWeights
}

async function withStart<T>(
  name: string,
  variant: string | null,
  options: StartOptions,
  use: (path: string, weights: Weights) => Promise<T>,
): Promise<T> {
  const wanted = variant && findModel(variant)
  const { path } = await findModelFiles(name, { ...options, wantsWeights: true })
  return withWeights(path, wanted, (weights) => use(path, weights))
}

function infoOf(path: string, weights: Weights): StartModel["info"] {
  const { name, license, preprocessing, samplesSeen } = weights.info
  return { name, license, preprocessing, samplesSeen, config: trainable(path, weights).config }
}

function trainable(path: string, { model, form, info, description }: Weights): CheckpointModel {
  if (!(model instanceof Clip || model instanceof Coca)) {
    throw new UserError(`${path}: ${description}; a model with an image and a text tower was expected`)
  }
  if (form === "train") return model
  throw new UserError(
    `${path} is fused: the branches that training needs became one convolution each, which cannot be undone`,
    `name a checkpoint of ${info.name} in training form`,
  )
}
