/** A captioner that exports in a second; its weights follow the rule of the golden models, so it prefers some tokens. */
import type { CocaConfig } from "../src/core/family/variants.ts"
import type { ExportInfo } from "../src/export/export.ts"
import { Coca } from "../src/model/coca.ts"
import { initialize } from "../src/model/module.ts"
import { fillByRule } from "./checks/models.ts"
import { tinyConvolutions } from "./tiny-model.ts"

const text = { kind: "base", width: 32, heads: 2, layers: 2, causal: true, activation: "gelu" } as const

export const tinyCocaConfig: CocaConfig = {
  embedDim: 32,
  imageSize: 32,
  image: { kind: "vit", width: 64, layers: 2, heads: 2, patchSize: 16, activation: "gelu" },
  pooler: { queries: 8, heads: 2 },
  text: { ...text, contextLength: 76, vocabSize: 49408 },
  decoder: { layers: 2, heads: 2 },
}

export const tinyCocaInfo: ExportInfo = {
  name: "tiny captioner",
  license: "none",
  samplesSeen: 0,
  preprocessing: { size: 32, interpolation: "bicubic", mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
}

/** The same with the image tower that training from nothing takes; its weights are random. */
export function tinyFastViTCoca(): Coca {
  const model = new Coca({ ...tinyCocaConfig, image: tinyConvolutions })
  initialize(model, 1)
  return model
}

export function tinyCoca(): Coca {
  const model = new Coca(tinyCocaConfig)
  fillByRule(model, "coca")
  return model
}
