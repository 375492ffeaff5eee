/**
 * Model configurations of the golden files (Apple's and open_clip's JSON, and timm-like arguments) as ours. A field or
 * value that is not listed here may change the function, so it is "not yet" and never compared with another model.
 */
import {
  type ClipConfig,
  type FastViTConfig,
  type ImageTowerConfig,
  imageTowers,
  type Stage,
  type TextTowerConfig,
} from "../../src/core/variants.ts"
import { NotYet } from "./notYet.ts"

type Fields = Readonly<Record<string, unknown>>

/** The fields we read of a golden model file; see the golden data's README, section 2. */
export interface GoldenConfig {
  readonly flavour: "apple" | "openclip"
  readonly config: {
    readonly embed_dim: number
    readonly image_cfg?: Fields
    readonly vision_cfg?: Fields
    readonly text_cfg: Fields
  }
  readonly custom_image_tower_args?: CustomTower | null
}

export interface CustomTower {
  readonly layers?: readonly number[]
  readonly embed_dims?: readonly number[]
  readonly mlp_ratios?: readonly number[]
  readonly downsamples?: readonly boolean[]
  readonly se_downsamples?: readonly boolean[]
  readonly token_mixers?: readonly string[]
  readonly pos_embs?: readonly unknown[]
  readonly norm_layer?: string
  readonly stem_use_scale_branch?: boolean
}

/** Values that a field may have; `undefined` where the field may be absent. */
type Known = Readonly<Record<string, "any" | readonly unknown[]>>

const fastViTFields = {
  layers: "any",
  embed_dims: "any",
  mlp_ratios: "any",
  downsamples: "any",
  se_downsamples: "any",
  token_mixers: "any",
  pos_embs: "any",
  norm_layer: [undefined, "BatchNorm2d", "LayerNorm2d eps 1e-5"],
  stem_use_scale_branch: [undefined, true, false],
} as const satisfies Known

const knownFields = {
  apple: {
    model: { embed_dim: "any", image_cfg: "any", text_cfg: "any" },
    image: { image_size: "any", model_name: "any" },
    custom: fastViTFields,
    text: {
      model_name: ["base", "mct"],
      dim: "any",
      n_heads_per_layer: "any",
      n_transformer_layers: "any",
      causal_masking: "any",
      context_length: "any",
      vocab_size: "any",
      ffn_multiplier_per_layer: [4],
      norm_layer: ["layer_norm_fp32", "layer_norm"],
    },
  },
  openclip: {
    model: {
      embed_dim: "any",
      vision_cfg: "any",
      text_cfg: "any",
      custom_text: [true],
      quick_gelu: [undefined, false],
    },
    image: {
      image_size: "any",
      timm_model_name: "any",
      timm_model_pretrained: [undefined, false],
      timm_pool: [undefined, "avg"],
      // Absent means "linear": another head.
      timm_proj: [null],
      timm_drop: [undefined, 0],
      timm_drop_path: [undefined, null, 0],
    },
    // timm's default is false; its mci towers set it.
    custom: { ...fastViTFields, lkc_use_act: [true] },
    text: {
      width: "any",
      heads: "any",
      layers: "any",
      no_causal_mask: "any",
      context_length: "any",
      vocab_size: "any",
    },
  },
} as const satisfies Record<GoldenConfig["flavour"], Record<string, Known>>

/** Our configuration; throws NotYet for a model that is not built yet. */
export function clipConfig({ config, flavour, custom_image_tower_args: custom }: GoldenConfig): ClipConfig {
  const image = config.image_cfg ?? config.vision_cfg ?? {}
  const name = String(image.model_name ?? image.timm_model_name ?? "(open_clip's own)")
  const tower = custom ? fastViT(custom, flavour) : publishedTower(name)
  const known = knownFields[flavour]
  requireKnown(config, known.model)
  requireKnown(image, known.image)
  requireKnown(config.text_cfg, known.text)
  return {
    embedDim: config.embed_dim,
    imageSize: Number(image.image_size),
    image: tower,
    text: flavour === "apple" ? appleText(config.text_cfg) : openClipText(config.text_cfg),
    headBias: flavour === "openclip",
  }
}

function requireKnown(fields: object, known: Known): void {
  const values = new Map(Object.entries(fields))
  for (const key of new Set([...values.keys(), ...Object.keys(known)])) {
    const accepted = known[key] ?? []
    if (accepted !== "any") oneOf(key, values.get(key), accepted)
  }
}

function oneOf<T>(key: string, value: unknown, accepted: readonly T[]): T {
  const known: readonly unknown[] = accepted
  if (!known.includes(value)) throw new NotYet(`${key}=${JSON.stringify(value)}`)
  return value as T
}

/** By Apple's name (`mci0`) or timm's (`fastvit_mci0`). */
function publishedTower(name: string): FastViTConfig {
  const towers: Readonly<Record<string, ImageTowerConfig>> = imageTowers
  const tower = towers[name.replace(/^fastvit_/, "")]
  if (tower?.kind !== "fastvit") throw new NotYet(`the image tower ${name} is not built yet`)
  return tower
}

function fastViT(custom: CustomTower, flavour: GoldenConfig["flavour"]): FastViTConfig {
  const { layers, embed_dims, mlp_ratios, se_downsamples, token_mixers, pos_embs } = custom
  if (!layers || !embed_dims || !mlp_ratios || !token_mixers) {
    throw new NotYet(`an image tower with ${Object.keys(custom)} is not built yet`)
  }
  requireKnown(custom, knownFields[flavour].custom)
  requireDownsampling(custom.downsamples, embed_dims, flavour)
  const stages = layers.map(
    (depth, s): Stage => ({
      depth,
      dim: embed_dims[s]!,
      mlpRatio: mlp_ratios[s]!,
      mixer: oneOf("token_mixers", token_mixers[s], ["repmixer", "attention"]),
      // Both code bases index this list by the stage that is entered.
      se: se_downsamples?.[s] ?? false,
      posEmb: oneOf("pos_embs", String(pos_embs?.[s] ?? "none"), ["none", "7,7", "7x7"]) !== "none",
    }),
  )
  const attentionNorm = custom.norm_layer?.startsWith("LayerNorm") ? "layer" : "batch"
  return { kind: "fastvit", attentionNorm, stemScaleBranch: custom.stem_use_scale_branch ?? true, stages }
}

/** Ours halves the size before every stage but the first. Apple indexes this list by the stage that is left. */
function requireDownsampling(
  downsamples: readonly boolean[] | undefined,
  dims: readonly number[],
  flavour: GoldenConfig["flavour"],
): void {
  if (!downsamples) return
  const entry = (s: number) => downsamples[flavour === "apple" ? s - 1 : s] ?? false
  // Both code bases downsample anyway where the width changes.
  const halved = dims.map((dim, s) => entry(s) || (s > 0 && dim !== dims[s - 1]))
  if (halved.some((halves, s) => halves !== s > 0)) throw new NotYet(`downsamples=${JSON.stringify(downsamples)}`)
}

function appleText(text: Fields): TextTowerConfig {
  return {
    kind: text.model_name === "mct" ? "mct" : "base",
    width: Number(text.dim),
    heads: Number(text.n_heads_per_layer),
    layers: Number(text.n_transformer_layers),
    causal: Boolean(text.causal_masking),
    contextLength: Number(text.context_length),
    vocabSize: Number(text.vocab_size),
  }
}

function openClipText(text: Fields): TextTowerConfig {
  return {
    kind: "base",
    width: Number(text.width ?? 512),
    heads: Number(text.heads ?? 8),
    layers: Number(text.layers ?? 12),
    causal: !text.no_causal_mask,
    contextLength: Number(text.context_length ?? 77),
    vocabSize: Number(text.vocab_size ?? 49408),
  }
}
