/** Weights that training begins with: a checkpoint of any origin, a folder with one, or a released name. */
import { existsSync } from "node:fs"
import { UserError } from "../core/errors.ts"
import { findModel } from "../core/variant-name.ts"
import type { ModelConfig } from "../core/variants.ts"
import { weightsFile } from "../hub/choose-weights.ts"
import type { CheckpointInfo, CheckpointModel } from "../model/checkpoint.ts"
import { Clip } from "../model/clip.ts"
import { Coca } from "../model/coca.ts"
import { sourceOf } from "./checkpoint.ts"
import { pullShown } from "./pulling.ts"
import { type Weights, withWeights } from "./weights.ts"

export interface StartModel {
  readonly info: CheckpointInfo<ModelConfig>
  /** Parameters and buffers by path. */
  readonly tensors: ReadonlyMap<string, Float32Array>
  /** Of the file: name and hash. */
  readonly source: Awaited<ReturnType<typeof sourceOf>>
  /** What the file turned out to be, for people. */
  readonly description: string
}

export async function readStartModel(
  name: string,
  variant: string | null,
  signal: AbortSignal,
  write?: (text: string) => void,
): Promise<StartModel> {
  const path = existsSync(name) ? weightsFile(name) : (await pullShown(name, {}, signal, write)).path
  return withWeights(path, variant && findModel(variant), async (weights) => {
    const model = trainable(path, weights)
    const { name, license, preprocessing, samplesSeen } = weights.info
    return {
      info: { name, license, preprocessing, samplesSeen, config: model.config },
      tensors: new Map([...model.namedParameters()].map(([key, parameter]) => [key, parameter.read()])),
      source: await sourceOf(path),
      description: weights.description,
    }
  })
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
