/**
 * Published state-dict names <-> our parameter paths. The only place that knows other people's names.
 *
 * Each tower has a table of rules with one column per dialect: Apple's v1 code, open_clip's own modules, and timm, whose
 * towers open_clip wraps. A flavour says which dialect, under which prefix, a kind of file uses. The mapping is total:
 * a parameter without a name in a flavour cannot be published in it, and that is an error.
 * Sources: open_clip convert.py, model.py, coca_model.py; timm fastvit.py and vision_transformer_hybrid.py
 * `checkpoint_filter_fn`; apple/ml-mobileclip modules.
 */
import type { FastViTConfig, ImageTowerConfig } from "../../core/family/variants.ts"
import type { Parameter } from "../../tensor/parameter.ts"
import type { Module } from "../module.ts"

type Dialect = "timm" | "openclip" | "apple"

/** Rules that end in the same names in some dialects only: absent is null. */
type Names = Readonly<Partial<Record<Dialect, string>>>

/**
 * A parameter, or a container of parameters, below a tower. Numbers match `#`, in order; Apple counts downsampling,
 * positional encoding and stages in one list, so its `@d`, `@p`, `@b` are looked up.
 */
interface Rule extends Names {
  readonly ours: string
  /** How a convolution directly below the container is published: a fused one, or one with a name of its own. */
  readonly conv?: Names
  /** Dialects that publish the transpose of our matrix. */
  readonly transposed?: readonly Dialect[]
  /** Dimensions of 1 that a dialect has in front of ours. */
  readonly leading?: Readonly<Partial<Record<Dialect, number>>>
  /** Our tensor is one of `of` equal parts of the published one, counted in rows. */
  readonly part?: { readonly index: number; readonly of: number }
}

// ---------------------------------------------------------------------------------------------------- the tables

const reparamConv = { timm: "reparam_conv", apple: "reparam_conv" } as const
const stemConv = { timm: "conv", apple: "conv" } as const

/** One transformer block, whose prefix each dialect gives. */
function blockRules(ours: string, prefix: Names): Rule[] {
  const rule = (path: string, names: Names): Rule => ({
    ours: `${ours}.${path}`,
    ...Object.fromEntries(
      Object.entries(names).flatMap(([dialect, name]) => {
        const above = prefix[dialect as Dialect]
        return above === undefined ? [] : [[dialect, `${above}.${name}`]]
      }),
    ),
  })
  return [
    rule("norm1", { timm: "norm1", openclip: "ln_1", apple: "pre_norm_mha.0" }),
    ...["weight", "bias"].map((name) =>
      rule(`attn.qkv.${name}`, {
        timm: `attn.qkv.${name}`,
        openclip: `attn.in_proj_${name}`,
        apple: `pre_norm_mha.1.qkv_proj.${name}`,
      }),
    ),
    rule("attn.proj", { timm: "attn.proj", openclip: "attn.out_proj", apple: "pre_norm_mha.1.out_proj" }),
    rule("norm2", { timm: "norm2", openclip: "ln_2", apple: "pre_norm_ffn.0" }),
    rule("mlp.fc1", { timm: "mlp.fc1", openclip: "mlp.c_fc", apple: "pre_norm_ffn.1" }),
    rule("mlp.fc2", { timm: "mlp.fc2", openclip: "mlp.c_proj", apple: "pre_norm_ffn.4" }),
  ]
}

/** PyTorch's MultiheadAttention keeps queries, keys and values in one tensor, where their widths allow. */
function crossRules(ours: string, openclip: string, weights: "packed" | "separate"): Rule[] {
  return (["query", "key", "value"] as const).flatMap((name, index): Rule[] => {
    const part = { index, of: 3 }
    const weight = { ours: `${ours}.${name}.weight` }
    return [
      weights === "packed"
        ? { ...weight, openclip: `${openclip}.in_proj_weight`, part }
        : { ...weight, openclip: `${openclip}.${name[0]}_proj_weight` },
      { ours: `${ours}.${name}.bias`, openclip: `${openclip}.in_proj_bias`, part },
    ]
  })
}

const imageRules: readonly Rule[] = [
  // FastViT
  { ours: "stem.#", timm: "stem.#", apple: "patch_embed.#", conv: reparamConv },
  {
    ours: "stages.#.downsample.largeKernel",
    timm: "stages.#.downsample.proj.0",
    apple: "network.@d.proj.0",
    conv: { timm: "reparam_conv", apple: "lkb_reparam" },
  },
  { ours: "stages.#.downsample.se", timm: "stages.#.downsample.proj.0.se", apple: "network.@d.proj.0.se" },
  {
    ours: "stages.#.downsample.pointwise",
    timm: "stages.#.downsample.proj.1",
    apple: "network.@d.proj.1",
    conv: reparamConv,
  },
  { ours: "stages.#.posEmb.conv", timm: "stages.#.pos_emb.pos_enc", apple: "network.@p.pe" },
  { ours: "stages.#.posEmb", timm: "stages.#.pos_emb", apple: "network.@p", conv: reparamConv },
  {
    ours: "stages.#.blocks.#.tokenMixer",
    timm: "stages.#.blocks.#.token_mixer",
    apple: "network.@b.#.token_mixer",
    conv: reparamConv,
  },
  { ours: "stages.#.blocks.#", timm: "stages.#.blocks.#", apple: "network.@b.#" },
  { ours: "finalConv.block", timm: "final_conv", apple: "conv_exp", conv: reparamConv },
  { ours: "finalConv.se.fc1", timm: "final_conv.se.fc1", apple: "conv_exp.se.reduce" },
  { ours: "finalConv.se.fc2", timm: "final_conv.se.fc2", apple: "conv_exp.se.expand" },
  { ours: "head.weight", timm: "head.fc.weight", apple: "head.proj", transposed: ["apple"] },
  { ours: "head.bias", timm: "head.fc.bias" },
  // ViT
  { ours: "patchEmbed.#.bn", timm: "patch_embed.backbone.#.bn", apple: "patch_emb.#.block.norm" },
  { ours: "patchEmbed.#", timm: "patch_embed.backbone.#", apple: "patch_emb.#.block", conv: stemConv },
  { ours: "patchEmbed", timm: "patch_embed.proj", openclip: "conv1" },
  {
    ours: "classToken",
    timm: "cls_token",
    openclip: "class_embedding",
    apple: "cls_token",
    leading: { timm: 2, apple: 2 },
  },
  {
    ours: "positionalEmbedding",
    timm: "pos_embed",
    openclip: "positional_embedding",
    apple: "pos_embed.pos_embed.pos_embed",
    leading: { timm: 1, apple: 2 },
  },
  { ours: "normPre", timm: "norm_pre", openclip: "ln_pre" },
  ...blockRules("blocks.#", { timm: "blocks.#", openclip: "transformer.resblocks.#", apple: "transformer.#" }),
  { ours: "pooler.query", openclip: "attn_pool.query" },
  ...crossRules("pooler.attn", "attn_pool.attn", "separate"),
  { ours: "pooler.attn.proj", openclip: "attn_pool.attn.out_proj" },
  { ours: "pooler.normQuery", openclip: "attn_pool.ln_q" },
  { ours: "pooler.normKey", openclip: "attn_pool.ln_k" },
  { ours: "norm", timm: "norm", openclip: "ln_post", apple: "post_transformer_norm" },
  {
    ours: "projection.weight",
    timm: "head.weight",
    openclip: "proj",
    apple: "classifier.proj",
    transposed: ["openclip", "apple"],
  },
  { ours: "projection.bias", timm: "head.bias" },
]

const textRules: readonly Rule[] = [
  { ours: "tokenEmbedding", openclip: "token_embedding.weight", apple: "embedding_layer.weight" },
  {
    ours: "positionalEmbedding",
    openclip: "positional_embedding",
    apple: "positional_embedding.pos_embed.pos_embed",
    leading: { apple: 2 },
  },
  { ours: "classToken", openclip: "cls_emb" },
  { ours: "blocks.#.tokenMixer", apple: "transformer.#.token_mixer", conv: reparamConv },
  ...blockRules("blocks.#", { openclip: "transformer.resblocks.#", apple: "transformer.#" }),
  { ours: "blocks.#.convFfn", apple: "transformer.#.convffn" },
  { ours: "blocks.#.layerScale", apple: "transformer.#.layer_scale" },
  { ours: "finalNorm", openclip: "ln_final", apple: "final_layer_norm" },
  { ours: "projection", openclip: "text_projection", apple: "projection_layer" },
]

const decoderRules: readonly Rule[] = [
  ...blockRules("blocks.#", { openclip: "resblocks.#" }),
  { ours: "crossBlocks.#.normKey", openclip: "cross_attn.#.ln_1_kv" },
  ...crossRules("crossBlocks.#.attn", "cross_attn.#.attn", "packed"),
  ...blockRules("crossBlocks.#", { openclip: "cross_attn.#" }),
  { ours: "finalNorm", openclip: "ln_final" },
  { ours: "projection", openclip: "text_projection" },
]

/** What stands below a container, segment by segment; a segment not listed has the same name everywhere. */
const segments: Readonly<Record<string, Names>> = {
  convKxk: { timm: "conv_kxk", apple: "rbr_conv" },
  convScale: { timm: "conv_scale", apple: "rbr_scale" },
  identity: { timm: "identity", apple: "rbr_skip" },
  large: { timm: "large_conv", apple: "lkb_origin" },
  small: { timm: "small_conv", apple: "small_conv" },
  convFfn: { timm: "mlp", apple: "convffn" },
  layerScale: { timm: "layer_scale.gamma", apple: "layer_scale" },
  layerScale1: { timm: "layer_scale_1.gamma", apple: "layer_scale_1" },
  layerScale2: { timm: "layer_scale_2.gamma", apple: "layer_scale_2" },
}

interface TowerNames {
  readonly dialect: Dialect
  readonly prefix: string
}

/** Kinds of files, by the names in them. */
const flavours = {
  /** MobileCLIP v1 as Apple published it. */
  apple: {
    image: { dialect: "apple", prefix: "image_encoder.model." },
    text: { dialect: "apple", prefix: "text_encoder." },
  },
  /** open_clip with a timm image tower: MobileCLIP2, and v1 converted. */
  openclip: { image: { dialect: "timm", prefix: "visual.trunk." }, text: { dialect: "openclip", prefix: "text." } },
  /** CLIP's own names, kept by open_clip for its ViTs. */
  clip: { image: { dialect: "openclip", prefix: "visual." }, text: { dialect: "openclip", prefix: "" } },
  coca: {
    image: { dialect: "openclip", prefix: "visual." },
    text: { dialect: "openclip", prefix: "text." },
    decoder: { dialect: "openclip", prefix: "text_decoder." },
  },
  /** An image tower alone. */
  timm: { image: { dialect: "timm", prefix: "" } },
} as const satisfies Record<string, Readonly<Record<string, TowerNames>>>

export type KeyFlavour = keyof typeof flavours

// ---------------------------------------------------------------------------------------------------- public API

/** How a published tensor differs from ours. */
export interface PublishedTensor {
  readonly key: string
  /** The shape of the whole published tensor. */
  readonly shape: readonly number[]
  /** Published as the transpose of our matrix. */
  readonly transposed: boolean
  /** Ours is one of `of` equal parts of it, in rows. */
  readonly part: { readonly index: number; readonly of: number } | null
}

/** A model that can be published: towers under the names of the tables. */
export interface PublishedModel extends Module {
  readonly config: { readonly image: ImageTowerConfig }
}

/** The published name and shape of every parameter of `model`, in either form, by our path. Throws where a parameter has no name. */
export function publishedTensors(model: PublishedModel, flavour: KeyFlavour): Map<string, PublishedTensor> {
  const tensors = [...model.namedParameters()].map(([path, parameter]) => {
    const published = publish(path, parameter, flavour, model.config.image)
    if (!published) throw new Error(`parameter "${path}" has no published name in the ${flavour} flavour`)
    return [path, published] as const
  })
  return new Map(tensors)
}

// ------------------------------------------------------------------------------------------------------ the rules

const compile = (rules: readonly Rule[]) => rules.map((rule) => ({ rule, pattern: patternOf(rule.ours) }))

const tables: Readonly<Record<string, ReturnType<typeof compile>>> = {
  image: compile(imageRules),
  text: compile(textRules),
  decoder: compile(decoderRules),
}

function publish(path: string, parameter: Parameter, flavour: KeyFlavour, image: ImageTowerConfig) {
  if (path === "logitBias") return { key: "logit_bias", shape: [], transposed: false, part: null }
  if (path === "logitScale") return { key: "logit_scale", shape: [], transposed: false, part: null }
  const [tower, below] = splitFirst(path)
  const towers: Readonly<Record<string, TowerNames>> = flavours[flavour]
  const names = towers[tower]
  const found = names && ruleFor(tower, below)
  const template = found?.rule[names!.dialect]
  if (!found || template === undefined) return null
  const { rule, match } = found
  const { dialect, prefix } = names!
  const above = fillIn(template, match.slice(1, -1).map(Number), image)
  const rest = match.at(-1)!.split(".").filter(Boolean)
  const conv = rule.conv?.[dialect] !== undefined && isConv(rest) ? [rule.conv[dialect]] : []
  const renamed = rest.map((segment) => segments[segment]?.[dialect] ?? snakeCase(segment))
  return { key: prefix + [above, ...conv, ...renamed].join("."), ...publishedLayout(rule, dialect, parameter) }
}

function ruleFor(tower: string, path: string) {
  for (const { rule, pattern } of tables[tower] ?? []) {
    const match = pattern.exec(path)
    if (match) return { rule, match }
  }
  return null
}

function publishedLayout({ transposed, leading, part }: Rule, dialect: Dialect, { shape }: Parameter) {
  const turned = transposed?.includes(dialect) ?? false
  const ones = new Array<number>(leading?.[dialect] ?? 0).fill(1)
  const [rows = 1, ...rest] = shape
  const published = part ? [rows * part.of, ...rest] : shape
  return { transposed: turned, part: part ?? null, shape: [...ones, ...(turned ? published.toReversed() : published)] }
}

/** `weight` or `bias` of the convolution that is the container itself. */
function isConv(rest: readonly string[]): boolean {
  return rest.length === 1 && (rest[0] === "weight" || rest[0] === "bias")
}

function splitFirst(path: string): readonly [first: string, rest: string] {
  const dot = path.indexOf(".")
  return [path.slice(0, dot), path.slice(dot + 1)]
}

/** Our pattern as a regular expression; the last group is what stands below the container. */
function patternOf(pattern: string): RegExp {
  return new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("#", "(\\d+)")}(|\\..*)$`)
}

function fillIn(template: string, numbers: readonly number[], image: ImageTowerConfig): string {
  const remaining = [...numbers]
  return template.replace(/#|@([dpb])/g, (_, part?: "d" | "p" | "b") => {
    const number = remaining.shift()!
    return String(part ? appleIndex(image as FastViTConfig, number, part) : number)
  })
}

/** Position in Apple's flat `network` list of stage s's downsampling (d), positional encoding (p) or blocks (b). */
function appleIndex({ stages }: FastViTConfig, s: number, part: "d" | "p" | "b"): number {
  const entries = stages.flatMap((stage, i) => [
    ...(i > 0 ? [`d${i}`] : []),
    ...(stage.posEmb ? [`p${i}`] : []),
    `b${i}`,
  ])
  return entries.indexOf(`${part}${s}`)
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
