/**
 * The files of Immich's layout beside its two models: open_clip's configuration, the image tower's preprocessing, the
 * text tower's tokenizer. Source: immich `machine-learning/immich_ml/models/clip`.
 */
import type { Preprocessing } from "../core/image/preprocess.ts"
import type { SideConfig } from "./side-config.ts"
import { tokenizerFiles } from "./transformers.ts"

export function immichFiles({ embedDim, contextLength }: SideConfig, preprocessing: Preprocessing) {
  const { size, interpolation, mean, std } = preprocessing
  const tokenizer = Object.entries(tokenizerFiles(contextLength))
  return {
    "config.json": {
      embed_dim: embedDim,
      vision_cfg: { image_size: size },
      text_cfg: { context_length: contextLength },
    },
    "visual/preprocess_cfg.json": {
      size: [size, size],
      mode: "RGB",
      mean,
      std,
      interpolation,
      resize_mode: "shortest",
    },
    ...Object.fromEntries(tokenizer.map(([name, value]) => [`textual/${name}`, value])),
  }
}
