/** Model configurations of the golden files (Apple's and open_clip's JSON, and timm-like arguments) as ours. */
import {
  type ClipConfig,
  type FastViTConfig,
  type ImageTowerConfig,
  imageTowers,
  type Stage,
  type TextTowerConfig,
} from "../../src/core/variants.ts"

/** The fields we read of a golden model file; see the golden data's README, section 2. */
export interface GoldenConfig {
  readonly flavour: "apple" | "openclip"
  readonly config: {
    readonly embed_dim: number
    readonly image_cfg?: { readonly image_size: number; readonly model_name: string }
    readonly vision_cfg?: { readonly image_size: number; readonly timm_model_name?: string }
    readonly text_cfg: Readonly<Record<string, number | string | boolean>>
    readonly multimodal_cfg?: unknown
  }
  readonly custom_image_tower_args?: CustomTower | null
}

export interface CustomTower {
  readonly layers?: readonly number[]
  readonly embed_dims?: readonly number[]
  readonly mlp_ratios?: readonly number[]
  readonly se_downsamples?: readonly boolean[]
  readonly token_mixers?: readonly ("repmixer" | "attention")[]
  readonly pos_embs?: readonly unknown[]
  readonly norm_layer?: string
  readonly stem_use_scale_branch?: boolean
}

const publishedTowers: Readonly<Record<string, ImageTowerConfig>> = {
  ...imageTowers,
  fastvit_mci0: imageTowers.mci0,
  fastvit_mci1: imageTowers.mci1,
  fastvit_mci2: imageTowers.mci2,
  fastvit_mci3: imageTowers.mci3,
  fastvit_mci4: imageTowers.mci4,
}

/** Our configuration, or null when a tower of that kind is not built yet. */
export function clipConfig(golden: GoldenConfig): ClipConfig | null {
  const { config, flavour, custom_image_tower_args: custom } = golden
  const image = config.image_cfg ?? config.vision_cfg!
  const name = "model_name" in image ? image.model_name : image.timm_model_name
  const tower = custom ? fastViT(custom) : publishedTowers[name ?? ""]
  if (tower?.kind !== "fastvit" || config.multimodal_cfg) return null
  return {
    embedDim: config.embed_dim,
    imageSize: image.image_size,
    image: tower,
    text: flavour === "apple" ? appleText(config.text_cfg) : openClipText(config.text_cfg),
    headBias: flavour === "openclip",
  }
}

export function fastViT(custom: CustomTower): FastViTConfig | null {
  const { layers, embed_dims, mlp_ratios, se_downsamples, token_mixers, pos_embs } = custom
  if (!layers || !embed_dims || !mlp_ratios || !token_mixers) return null
  const stages = layers.map(
    (depth, s): Stage => ({
      depth,
      dim: embed_dims[s]!,
      mlpRatio: mlp_ratios[s]!,
      mixer: token_mixers[s]!,
      // Both code bases index this list by the stage that is entered.
      se: se_downsamples?.[s] ?? false,
      posEmb: Boolean(pos_embs?.[s]),
    }),
  )
  const attentionNorm = custom.norm_layer?.startsWith("LayerNorm") ? "layer" : "batch"
  return { kind: "fastvit", attentionNorm, stemScaleBranch: custom.stem_use_scale_branch ?? true, stages }
}

function appleText(text: GoldenConfig["config"]["text_cfg"]): TextTowerConfig {
  return {
    kind: text.model_name as "base" | "mct",
    width: Number(text.dim),
    heads: Number(text.n_heads_per_layer),
    layers: Number(text.n_transformer_layers),
    causal: Boolean(text.causal_masking),
    contextLength: Number(text.context_length),
    vocabSize: Number(text.vocab_size),
  }
}

function openClipText(text: GoldenConfig["config"]["text_cfg"]): TextTowerConfig {
  return {
    kind: "base",
    width: Number(text.width),
    heads: Number(text.heads),
    layers: Number(text.layers),
    causal: !text.no_causal_mask,
    contextLength: Number(text.context_length ?? 77),
    vocabSize: Number(text.vocab_size ?? 49408),
  }
}
