/** The quickstart's models by their recipes: a CLIP variant, or a captioner. */

import type { Preprocessing } from "../../core/preprocess.ts"
import { captioners, type ModelConfig, variants } from "../../core/variants.ts"
import type { CheckpointInfo } from "../../model/checkpoint.ts"

export function infoOf(name: string): CheckpointInfo<ModelConfig> {
  const { model, preprocessing } = entryOf(name)
  return { name, config: model, preprocessing, license: "MIT", samplesSeen: 0 }
}

function entryOf(name: string): { readonly model: ModelConfig; readonly preprocessing: Preprocessing } {
  if (Object.hasOwn(captioners, name)) return captioners[name as keyof typeof captioners]
  return variants[name as keyof typeof variants]
}
