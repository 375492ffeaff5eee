/**
 * Model configurations of the golden files (Apple's and open_clip's JSON, and timm-like arguments) as ours. A field or
 * value that is not listed here may change the function, so it is "not yet" and never compared with another model.
 */
import {
  type Activation,
  type ClipConfig,
  type CocaConfig,
  type FastViTConfig,
  type ImageTowerConfig,
  imageTowers,
  type Stage,
  type TextTowerConfig,
  type VitConfig,
  type VitConvStemConfig,
} from "../../src/core/family/variants.ts"
import type { KeyFlavour } from "../../src/model/checkpoint/weights.ts"
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
    readonly multimodal_cfg?: Fields
    readonly custom_text?: boolean
    readonly quick_gelu?: boolean
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
  readonly img_size?: number
  readonly patch_size?: number
  readonly embed_dim?: number
  readonly depth?: number
  readonly num_heads?: number
  readonly n_transformer_layers?: number
  readonly n_attn_heads?: number
  readonly conv_stem?: { readonly channels: readonly number[]; readonly padding: number }
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

/** Apple's ViT with the conv stem. */
const appleVitFields = {
  norm_layer: ["layer_norm_fp32"],
  act_layer: ["gelu"],
  embed_dim: "any",
  n_transformer_layers: "any",
  n_attn_heads: "any",
} as const satisfies Known

/** timm's ViTs: with a conv stem (norm eps 1e-6), and CLIP's (1e-5). */
const timmVitFields = {
  convStem: {
    img_size: "any",
    embed_dim: "any",
    depth: "any",
    num_heads: "any",
    no_embed_class: [true],
    conv_stem: "any",
  },
  clip: {
    img_size: "any",
    patch_size: "any",
    embed_dim: "any",
    depth: "any",
    num_heads: "any",
    pre_norm: [true],
    norm_layer: ["LayerNorm eps 1e-5"],
  },
} as const satisfies Record<string, Known>

/** open_clip's own modules: ViT, CLIP's text transformer, CoCa. */
const ownFields = {
  model: {
    embed_dim: "any",
    vision_cfg: "any",
    text_cfg: "any",
    multimodal_cfg: "any",
    custom_text: [undefined, true, false],
    quick_gelu: [undefined, true, false],
  },
  image: {
    image_size: "any",
    layers: "any",
    width: "any",
    head_width: "any",
    patch_size: "any",
    mlp_ratio: [undefined, 4],
    attentional_pool: [undefined, true],
    attn_pooler_queries: "any",
    attn_pooler_heads: "any",
    output_tokens: [undefined, true],
  },
  text: {
    context_length: "any",
    vocab_size: "any",
    width: "any",
    heads: "any",
    layers: "any",
    embed_cls: [undefined, true],
    output_tokens: [undefined, true],
    mlp_ratio: [undefined, 4],
  },
  decoder: {
    context_length: "any",
    vocab_size: "any",
    width: "any",
    heads: "any",
    layers: "any",
    // They belong to a pooler that the decoder does not have.
    attn_pooler_heads: "any",
    mlp_ratio: [undefined, 4],
  },
} as const satisfies Record<string, Known>

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
      timm_pool: [undefined, "avg", "token"],
      // Absent means "linear": another head.
      timm_proj: [null],
      timm_drop: [undefined, 0],
      // Training only.
      timm_drop_path: [undefined, null, 0, 0.1],
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

/** Which names the file uses: the golden data call open_clip's three kinds of models by one flavour. */
export function keyFlavour({ flavour, config }: GoldenConfig): KeyFlavour {
  if (flavour === "apple") return "apple"
  if (config.multimodal_cfg) return "coca"
  return config.vision_cfg?.timm_model_name === undefined ? "clip" : "openclip"
}

export function isCoca({ config }: GoldenConfig): boolean {
  return config.multimodal_cfg !== undefined
}

/** Our configuration; throws NotYet for a model that is not built yet. */
export function clipConfig(golden: GoldenConfig): ClipConfig {
  const { config, flavour, custom_image_tower_args: custom } = golden
  if (keyFlavour(golden) === "clip") return ownClip(golden)
  const image = config.image_cfg ?? config.vision_cfg ?? {}
  const name = String(image.model_name ?? image.timm_model_name)
  const tower = custom ? customTower(custom, flavour) : publishedTower(name)
  const known = knownFields[flavour]
  requireKnown(config, known.model)
  requireKnown(image, known.image)
  requireKnown(config.text_cfg, known.text)
  if (tower.kind !== "fastvit" && flavour === "openclip") oneOf("timm_pool", image.timm_pool, ["token"])
  return {
    embedDim: config.embed_dim,
    imageSize: Number(image.image_size),
    image: tower,
    text: flavour === "apple" ? appleText(config.text_cfg) : openClipText(config.text_cfg, "gelu"),
    headBias: flavour === "openclip",
  }
}

function ownClip({ config }: GoldenConfig): ClipConfig {
  requireKnown(config, ownFields.model)
  requireKnown(config.text_cfg, { ...ownFields.text, embed_cls: [undefined], output_tokens: [undefined] })
  const activation = config.quick_gelu ? "quick-gelu" : "gelu"
  oneOf("attentional_pool", config.vision_cfg?.attentional_pool, [undefined])
  return {
    embedDim: config.embed_dim,
    imageSize: Number(config.vision_cfg?.image_size),
    image: ownVit(config.vision_cfg ?? {}, activation),
    text: openClipText(config.text_cfg, activation),
    headBias: false,
  }
}

export function cocaConfig({ config }: GoldenConfig): CocaConfig {
  const { vision_cfg: vision = {}, text_cfg: text, multimodal_cfg: decoder = {} } = config
  requireKnown(config, ownFields.model)
  requireKnown(text, { ...ownFields.text, embed_cls: [true] })
  requireKnown(decoder, ownFields.decoder)
  oneOf("attentional_pool", vision.attentional_pool, [true])
  for (const field of ["width", "context_length", "vocab_size"]) oneOf(field, decoder[field], [text[field]])
  const activation = config.quick_gelu ? "quick-gelu" : "gelu"
  return {
    embedDim: config.embed_dim,
    imageSize: Number(vision.image_size),
    image: ownVit(vision, activation),
    pooler: { queries: Number(vision.attn_pooler_queries ?? 256), heads: Number(vision.attn_pooler_heads ?? 8) },
    text: openClipText(text, activation),
    decoder: { layers: Number(decoder.layers), heads: Number(decoder.heads) },
  }
}

function ownVit(vision: Fields, activation: Activation): VitConfig {
  requireKnown(vision, ownFields.image)
  const [width, headWidth] = [Number(vision.width), Number(vision.head_width ?? 64)]
  return {
    kind: "vit",
    width,
    layers: Number(vision.layers),
    heads: width / headWidth,
    patchSize: Number(vision.patch_size),
    activation,
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

const vitNames: Readonly<Record<string, ImageTowerConfig>> = {
  vit_b16: imageTowers["vit-b16-apple"],
  vit_base_mci_224: imageTowers["vit-b16-timm"],
  vit_large_patch14_clip_224: imageTowers["vit-l14"],
}

/** By Apple's name (`mci0`) or timm's (`fastvit_mci0`). */
function publishedTower(name: string): ImageTowerConfig {
  const towers: Readonly<Record<string, ImageTowerConfig>> = imageTowers
  const tower = vitNames[name] ?? towers[name.replace(/^fastvit_/, "")]
  if (!tower) throw new NotYet(`the image tower ${name} is not built yet`)
  return tower
}

function customTower(custom: CustomTower, flavour: GoldenConfig["flavour"]): ImageTowerConfig {
  if (custom.layers) return fastViT(custom, flavour)
  if (flavour === "apple") return appleVit(custom)
  return custom.conv_stem ? timmConvStem(custom) : timmVit(custom)
}

function appleVit(custom: CustomTower): VitConvStemConfig {
  requireKnown(custom, appleVitFields)
  const width = custom.embed_dim!
  return {
    kind: "vit-conv-stem",
    width,
    layers: custom.n_transformer_layers!,
    heads: custom.n_attn_heads!,
    stemWidth: Math.max(32, width / 4),
    stemPadding: 1,
    normEps: 1e-5,
  }
}

function timmConvStem(custom: CustomTower): VitConvStemConfig {
  requireKnown(custom, timmVitFields.convStem)
  const { channels, padding } = custom.conv_stem!
  return {
    kind: "vit-conv-stem",
    width: custom.embed_dim!,
    layers: custom.depth!,
    heads: custom.num_heads!,
    stemWidth: oneOf("channels", channels[0], [channels[1]])!,
    stemPadding: oneOf("padding", padding, [0, 1] as const),
    normEps: 1e-6,
  }
}

function timmVit(custom: CustomTower): VitConfig {
  requireKnown(custom, timmVitFields.clip)
  return {
    kind: "vit",
    width: custom.embed_dim!,
    layers: custom.depth!,
    heads: custom.num_heads!,
    patchSize: custom.patch_size!,
    activation: "gelu",
  }
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
    activation: "gelu",
    contextLength: Number(text.context_length),
    vocabSize: Number(text.vocab_size),
  }
}

function openClipText(text: Fields, activation: Activation): TextTowerConfig {
  return {
    kind: "base",
    width: Number(text.width ?? 512),
    heads: Number(text.heads ?? 8),
    layers: Number(text.layers ?? 12),
    causal: !text.no_causal_mask,
    activation,
    contextLength: Number(text.context_length ?? 77),
    vocabSize: Number(text.vocab_size ?? 49408),
  }
}
