/** How a model directory is laid out for those who read it: file names, names of inputs and outputs, files beside them. */

import type { Preprocessing } from "../core/image/preprocess.ts"
import type { TowerFiles } from "../core/manifest.ts"
import { immichFiles } from "./immich.ts"
import type { ExportDtype, SideConfig } from "./side-config.ts"
import { transformersFiles } from "./transformers.ts"

interface Layout {
  towers(dtype: ExportDtype): TowerFiles
  /** The tokenizer among the files beside the towers; null where there is none. */
  readonly tokenizer: string | null
  /** By name, as JSON values. */
  readonly files: (config: SideConfig, preprocessing: Preprocessing) => Readonly<Record<string, unknown>>
}

/** transformers.js adds this to a file's name for a dtype. */
const suffixes = { fp32: "", fp16: "_fp16" } as const

const decoder = { input: "input_ids", output: "logits" } as const

export const layouts = {
  /** Hugging Face's: `CLIPVisionModelWithProjection` and `CLIPTextModelWithProjection` load it. */
  "transformers.js": {
    towers: (dtype) => ({
      image: { file: `onnx/vision_model${suffixes[dtype]}.onnx`, input: "pixel_values", output: "image_embeds" },
      text: { file: `onnx/text_model${suffixes[dtype]}.onnx`, input: "input_ids", output: "text_embeds", ids: "int64" },
      decoder: { ...decoder, file: `onnx/decoder_model${suffixes[dtype]}.onnx`, ids: "int64" },
    }),
    tokenizer: "tokenizer.json",
    files: transformersFiles,
  },
  /** Immich's machine learning: `visual` and `textual` folders, 32-bit token ids. */
  immich: {
    towers: () => ({
      image: { file: "visual/model.onnx", input: "image", output: "embedding" },
      text: { file: "textual/model.onnx", input: "text", output: "embedding", ids: "int32" },
      decoder: { ...decoder, file: "decoder/model.onnx", ids: "int64" },
    }),
    tokenizer: "textual/tokenizer.json",
    files: immichFiles,
  },
  /** The models and the manifest, nothing else. */
  plain: {
    towers: () => ({
      image: { file: "image.onnx", input: "pixels", output: "embeddings" },
      text: { file: "text.onnx", input: "ids", output: "embeddings", ids: "int64" },
      decoder: { ...decoder, file: "decoder.onnx", ids: "int64" },
    }),
    tokenizer: null,
    files: () => ({}),
  },
} as const satisfies Record<string, Layout>

export type LayoutName = keyof typeof layouts
