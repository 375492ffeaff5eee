/**
 * A model as open_clip's own files, so that Python loads models trained here: `open_clip_model.safetensors` under its
 * names and `open_clip_config.json` (`open_clip.create_model_and_transforms("local-dir:DIR")`).
 * Source: open_clip factory.py, push_to_hf_hub.py, model_configs.
 */
import { realpath } from "node:fs/promises"
import { join } from "node:path"
import { safetensorsChunks, type TensorToWrite } from "../core/containers/safetensors.ts"
import { UserError } from "../core/errors.ts"
import {
  type ClipConfig,
  type CocaConfig,
  type ImageTowerConfig,
  imageTowers,
  type TextTowerConfig,
} from "../core/family/variants.ts"
import { makeDirectory, writeAtomically } from "../host/files/files.ts"
import { publishedParts, toPublished } from "../model/checkpoint/state-dict.ts"
import { type KeyFlavour, type PublishedModel, publishedTensors } from "../model/checkpoint/weights.ts"
import { Clip } from "../model/clip.ts"
import { Coca } from "../model/coca.ts"
import type { ExportInfo } from "./export.ts"
import type { ExportableModel } from "./towers.ts"

const weightsFile = "open_clip_model.safetensors"
const configFile = "open_clip_config.json"

/** Whether the export to `directory` would write this file. */
export async function isOpenClipOutput(file: string, directory: string): Promise<boolean> {
  const place = await realpath(file)
  const outputs = [weightsFile, configFile].map((name) => realpath(join(directory, name)).catch(() => null))
  return (await Promise.all(outputs)).includes(place)
}

/** Writes both files and returns their names. Throws UserError where open_clip has no such architecture. */
export async function exportOpenClip(model: ExportableModel, info: ExportInfo, directory: string): Promise<string[]> {
  if (!(model instanceof Clip) && !(model instanceof Coca)) {
    throw new UserError(`${info.name} is an image tower alone, and open_clip wants two`, "use another layout")
  }
  const config = { model_cfg: modelConfig(model.config), preprocess_cfg: preprocessConfig(info) }
  const flavour: KeyFlavour =
    model instanceof Coca ? "coca" : model.config.image.kind === "vit" && !model.config.headBias ? "clip" : "openclip"
  await makeDirectory(directory)
  await writeAtomically(
    join(directory, weightsFile),
    safetensorsChunks(publishedFile(model, flavour), { format: "pt" }),
  )
  await writeAtomically(join(directory, configFile), [`${JSON.stringify(config, null, 2)}\n`])
  return [weightsFile, configFile]
}

/** Tensors under published names, each read when it is written. */
export function publishedFile(model: PublishedModel, flavour: KeyFlavour): TensorToWrite[] {
  const parameters = model.namedParameters()
  return [...publishedParts(publishedTensors(flavour === "openclip" ? withHeadBias(model) : model, flavour))].map(
    ([name, { tensor, paths }]) => {
      const isInteger = parameters.get(paths[0]!)?.dtype === "int64"
      const size = tensor.shape.reduce((product, dim) => product * dim, 1)
      const read = () => {
        // v1 has no bias in its head, open_clip's towers have: zero.
        const parts = paths.map((path) => parameters.get(path)?.read() ?? new Float32Array(size))
        const values = toPublished(parts, tensor)
        return isInteger ? BigInt64Array.from(values, BigInt) : values
      }
      return { name, dtype: isInteger ? "I64" : "F32", shape: tensor.shape, read }
    },
  )
}

function withHeadBias(model: PublishedModel): PublishedModel {
  if (!(model instanceof Clip) || model.config.headBias || model.config.image.kind === "vit") return model
  return new Clip({ ...model.config, headBias: true })
}

// --------------------------------------------------------------------------------------------------- configuration

function modelConfig(config: ClipConfig | CocaConfig) {
  const { embedDim: embed_dim, imageSize: image_size } = config
  if ("decoder" in config) return cocaConfig(config)
  const { image, text } = config
  const text_cfg = textConfig(text)
  if (image.kind === "vit" && !config.headBias) {
    const quick_gelu = image.activation === "quick-gelu"
    return { embed_dim, ...(quick_gelu && { quick_gelu }), vision_cfg: ownVit(image, image_size), text_cfg }
  }
  const token = image.kind !== "fastvit"
  const vision_cfg = {
    timm_model_name: timmName(image),
    timm_model_pretrained: false,
    timm_pool: token ? "token" : "avg",
    timm_proj: null,
    timm_drop: 0,
    timm_drop_path: 0,
    image_size,
  }
  return { embed_dim, vision_cfg, text_cfg: { ...text_cfg, no_causal_mask: !text.causal }, custom_text: true }
}

function cocaConfig({ embedDim, imageSize, image, pooler, text, decoder }: CocaConfig) {
  if (image.kind !== "vit") throw new UserError("open_clip's CoCa has no FastViT image tower", "use another layout")
  const shared = { context_length: text.contextLength, vocab_size: text.vocabSize, width: text.width }
  return {
    embed_dim: embedDim,
    vision_cfg: {
      ...ownVit(image, imageSize),
      attentional_pool: true,
      attn_pooler_queries: pooler.queries,
      attn_pooler_heads: pooler.heads,
      output_tokens: true,
    },
    text_cfg: { ...textConfig(text), embed_cls: true, output_tokens: true },
    multimodal_cfg: { ...shared, heads: decoder.heads, layers: decoder.layers, attn_pooler_heads: pooler.heads },
    custom_text: true,
  }
}

function textConfig({ kind, contextLength, vocabSize, width, heads, layers }: TextTowerConfig) {
  if (kind === "mct")
    throw new UserError("open_clip has no text tower like MobileCLIP-S0's (MCt)", "use another layout")
  return { context_length: contextLength, vocab_size: vocabSize, width, heads, layers }
}

function ownVit(image: Extract<ImageTowerConfig, { kind: "vit" }>, image_size: number) {
  const { width, layers, heads, patchSize } = image
  return { image_size, layers, width, head_width: width / heads, patch_size: patchSize }
}

const timmNames: readonly (readonly [tower: ImageTowerConfig, name: string])[] = [
  ...(["mci0", "mci1", "mci2", "mci3", "mci4"] as const).map((name) => [imageTowers[name], `fastvit_${name}`] as const),
  [imageTowers["vit-b16-timm"], "vit_base_mci_224"],
  [imageTowers["vit-l14"], "vit_large_patch14_clip_224"],
]

function timmName(image: ImageTowerConfig): string {
  const found = timmNames.find(([tower]) => JSON.stringify(tower) === JSON.stringify(image))
  if (found) return found[1]
  throw new UserError(
    image.kind === "vit-conv-stem" && image.stemPadding === 1
      ? "timm computes another function of MobileCLIP-B v1's weights (stem padding, norm eps)"
      : "timm has no image tower of this configuration, so open_clip could not load it",
    "use another layout",
  )
}

function preprocessConfig({ preprocessing: { size, mean, std, interpolation } }: ExportInfo) {
  return { size, mode: "RGB", mean, std, interpolation, resize_mode: "shortest" }
}
