/** How a model directory is laid out for those who read it: file names, names of inputs and outputs, files beside them. */
import type { Preprocessing } from "../core/image/preprocess.ts"
import type { TowerFiles } from "../core/inference/manifest.ts"
import { dtypeSuffixes } from "../core/inference/onnx-files.ts"
import { type DirectoryDtype, dtypeOfPart } from "../core/precision.ts"
import type { SideConfig } from "./side-config.ts"
import { tokenizerFiles, transformersFiles } from "./transformers.ts"

interface Layout {
  towers(dtype: DirectoryDtype): TowerFiles
  /** The tokenizer among the files beside the towers; null where there is none. */
  readonly tokenizer: string | null
  /** By name, as JSON values. */
  readonly files: (config: SideConfig, preprocessing: Preprocessing) => Readonly<Record<string, unknown>>
}

const decoder = { input: "input_ids", output: "logits" } as const

export const layouts = {
  /** Hugging Face's: `CLIPVisionModelWithProjection` and `CLIPTextModelWithProjection` load it. */
  "transformers.js": {
    towers: (dtype) => ({
      image: { file: `onnx/vision_model${suffix(dtype, "image")}.onnx`, input: "pixel_values", output: "image_embeds" },
      text: {
        file: `onnx/text_model${suffix(dtype, "text")}.onnx`,
        input: "input_ids",
        output: "text_embeds",
        ids: "int64",
      },
      decoder: { ...decoder, file: `onnx/decoder_model${suffix(dtype, "decoder")}.onnx`, ids: "int64" },
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

function suffix(...[dtype, part]: Parameters<typeof dtypeOfPart>): string {
  return dtypeSuffixes[dtypeOfPart(dtype, part)]
}

/**
 * The files of Immich's layout beside its two models: open_clip's configuration, the image tower's preprocessing, the
 * text tower's tokenizer. Source: immich `machine-learning/immich_ml/models/clip`.
 */
function immichFiles({ embedDim, contextLength }: SideConfig, preprocessing: Preprocessing) {
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
