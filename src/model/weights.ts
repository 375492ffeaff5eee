/**
 * Published state-dict names <-> our parameter paths. The only place that knows other people's names.
 *
 * Two flavours: `openclip` (open_clip with a timm image tower; also MobileCLIP2's own files) and `apple` (the v1
 * files). The mapping is total: a missing, unexpected or misshapen tensor throws.
 * Sources: open_clip convert.py, timm fastvit.py `checkpoint_filter_fn`, apple/ml-mobileclip modules.
 */
import { UserError } from "../core/errors.ts"
import type { ClipConfig, FastViTConfig } from "../core/variants.ts"
import type { Parameter } from "../tensor/parameter.ts"
import type { Clip } from "./clip.ts"

export type KeyFlavour = "apple" | "openclip"

/** How a published tensor differs from ours. */
export interface PublishedTensor {
  readonly key: string
  readonly shape: readonly number[]
  /** Published as the transpose of our matrix. */
  readonly transposed: boolean
}

/** Host values of a checkpoint by published key. */
export interface StateDict {
  readonly keys: Iterable<string>
  shape(key: string): readonly number[]
  /** Row-major float32 values. */
  read(key: string): Float32Array
}

// ---------------------------------------------------------------------------------------------------- the table

/**
 * Containers: our path, open_clip's, Apple's. Numbers match `#`, in order; Apple counts downsampling, positional
 * encoding and stages in one list, so its `@d`, `@p`, `@b` are looked up; null where a flavour has no such thing.
 * `fused` says that a convolution directly below the container is a fused one, and under which names it is published.
 */
interface Container {
  readonly ours: string
  readonly openclip: string | null
  readonly apple: string | null
  readonly fused?: Readonly<Record<KeyFlavour, string>>
}

const reparamConv = { openclip: "reparam_conv", apple: "reparam_conv" }

const containers: readonly Container[] = [
  {
    ours: "image.stem.#",
    openclip: "visual.trunk.stem.#",
    apple: "image_encoder.model.patch_embed.#",
    fused: reparamConv,
  },
  {
    ours: "image.stages.#.downsample.largeKernel",
    openclip: "visual.trunk.stages.#.downsample.proj.0",
    apple: "image_encoder.model.network.@d.proj.0",
    fused: { openclip: "reparam_conv", apple: "lkb_reparam" },
  },
  {
    ours: "image.stages.#.downsample.se",
    openclip: "visual.trunk.stages.#.downsample.proj.0.se",
    apple: "image_encoder.model.network.@d.proj.0.se",
  },
  {
    ours: "image.stages.#.downsample.pointwise",
    openclip: "visual.trunk.stages.#.downsample.proj.1",
    apple: "image_encoder.model.network.@d.proj.1",
    fused: reparamConv,
  },
  {
    ours: "image.stages.#.posEmb.conv",
    openclip: "visual.trunk.stages.#.pos_emb.pos_enc",
    apple: "image_encoder.model.network.@p.pe",
  },
  {
    ours: "image.stages.#.posEmb",
    openclip: "visual.trunk.stages.#.pos_emb",
    apple: "image_encoder.model.network.@p",
    fused: reparamConv,
  },
  {
    ours: "image.stages.#.blocks.#.tokenMixer",
    openclip: "visual.trunk.stages.#.blocks.#.token_mixer",
    apple: "image_encoder.model.network.@b.#.token_mixer",
    fused: reparamConv,
  },
  {
    ours: "image.stages.#.blocks.#",
    openclip: "visual.trunk.stages.#.blocks.#",
    apple: "image_encoder.model.network.@b.#",
  },
  {
    ours: "image.finalConv.block",
    openclip: "visual.trunk.final_conv",
    apple: "image_encoder.model.conv_exp",
    fused: reparamConv,
  },
  {
    ours: "image.finalConv.se.fc1",
    openclip: "visual.trunk.final_conv.se.fc1",
    apple: "image_encoder.model.conv_exp.se.reduce",
  },
  {
    ours: "image.finalConv.se.fc2",
    openclip: "visual.trunk.final_conv.se.fc2",
    apple: "image_encoder.model.conv_exp.se.expand",
  },
  { ours: "image.head.weight", openclip: "visual.trunk.head.fc.weight", apple: "image_encoder.model.head.proj" },
  { ours: "image.head.bias", openclip: "visual.trunk.head.fc.bias", apple: null },
  {
    ours: "text.tokenEmbedding",
    openclip: "text.token_embedding.weight",
    apple: "text_encoder.embedding_layer.weight",
  },
  {
    ours: "text.positionalEmbedding",
    openclip: "text.positional_embedding",
    apple: "text_encoder.positional_embedding.pos_embed.pos_embed",
  },
  {
    ours: "text.blocks.#.tokenMixer",
    openclip: null,
    apple: "text_encoder.transformer.#.token_mixer",
    fused: reparamConv,
  },
  {
    ours: "text.blocks.#.norm1",
    openclip: "text.transformer.resblocks.#.ln_1",
    apple: "text_encoder.transformer.#.pre_norm_mha.0",
  },
  {
    ours: "text.blocks.#.attn.qkv.weight",
    openclip: "text.transformer.resblocks.#.attn.in_proj_weight",
    apple: "text_encoder.transformer.#.pre_norm_mha.1.qkv_proj.weight",
  },
  {
    ours: "text.blocks.#.attn.qkv.bias",
    openclip: "text.transformer.resblocks.#.attn.in_proj_bias",
    apple: "text_encoder.transformer.#.pre_norm_mha.1.qkv_proj.bias",
  },
  {
    ours: "text.blocks.#.attn.proj",
    openclip: "text.transformer.resblocks.#.attn.out_proj",
    apple: "text_encoder.transformer.#.pre_norm_mha.1.out_proj",
  },
  {
    ours: "text.blocks.#.norm2",
    openclip: "text.transformer.resblocks.#.ln_2",
    apple: "text_encoder.transformer.#.pre_norm_ffn.0",
  },
  {
    ours: "text.blocks.#.mlp.fc1",
    openclip: "text.transformer.resblocks.#.mlp.c_fc",
    apple: "text_encoder.transformer.#.pre_norm_ffn.1",
  },
  {
    ours: "text.blocks.#.mlp.fc2",
    openclip: "text.transformer.resblocks.#.mlp.c_proj",
    apple: "text_encoder.transformer.#.pre_norm_ffn.4",
  },
  { ours: "text.blocks.#", openclip: "text.transformer.resblocks.#", apple: "text_encoder.transformer.#" },
  { ours: "text.finalNorm", openclip: "text.ln_final", apple: "text_encoder.final_layer_norm" },
  { ours: "text.projection", openclip: "text.text_projection", apple: "text_encoder.projection_layer" },
  { ours: "logitScale", openclip: "logit_scale", apple: "logit_scale" },
]

/** What stands below a container, segment by segment; a segment not listed has the same name everywhere. */
const segments: Readonly<Record<string, Readonly<Record<KeyFlavour, string>>>> = {
  convKxk: { openclip: "conv_kxk", apple: "rbr_conv" },
  convScale: { openclip: "conv_scale", apple: "rbr_scale" },
  identity: { openclip: "identity", apple: "rbr_skip" },
  large: { openclip: "large_conv", apple: "lkb_origin" },
  small: { openclip: "small_conv", apple: "small_conv" },
  convFfn: { openclip: "mlp", apple: "convffn" },
  layerScale: { openclip: "layer_scale.gamma", apple: "layer_scale" },
  layerScale1: { openclip: "layer_scale_1.gamma", apple: "layer_scale_1" },
  layerScale2: { openclip: "layer_scale_2.gamma", apple: "layer_scale_2" },
  runningMean: { openclip: "running_mean", apple: "running_mean" },
  runningVar: { openclip: "running_var", apple: "running_var" },
  numBatchesTracked: { openclip: "num_batches_tracked", apple: "num_batches_tracked" },
}

// ---------------------------------------------------------------------------------------------------- public API

/** The published name and shape of every parameter of `model`, in either form, by our path. */
export function publishedTensors(model: Clip, flavour: KeyFlavour): Map<string, PublishedTensor> {
  const tensors = [...model.namedParameters()].map(([path, parameter]) => {
    const key = publishedKey(path, flavour, model.config)
    return [path, { key, ...publishedShape(path, parameter, flavour) }] as const
  })
  return new Map(tensors)
}

/** Points every parameter of `model` at its values in a published file; nothing is read before it is needed. */
export function loadStateDict(model: Clip, stateDict: StateDict, flavour: KeyFlavour, source: string): void {
  bind(model, publishedTensors(model, flavour), stateDict, source)
}

/** The same for a file that uses our own paths. */
export function loadValues(model: Clip, stateDict: StateDict, source: string): void {
  const own = [...model.namedParameters()].map(
    ([path, { shape }]) => [path, { key: path, shape, transposed: false }] as const,
  )
  bind(model, new Map(own), stateDict, source)
}

function bind(model: Clip, tensors: ReadonlyMap<string, PublishedTensor>, stateDict: StateDict, source: string): void {
  const present = new Set(stateDict.keys)
  for (const [path, parameter] of model.namedParameters()) {
    const { key, shape, transposed } = tensors.get(path)!
    if (!present.has(key)) throw missingKey(source, key, present)
    checkShape(source, key, stateDict.shape(key), shape)
    parameter.source = () => (transposed ? transpose(stateDict.read(key), shape) : stateDict.read(key))
  }
  const expected = new Set([...tensors.values()].map(({ key }) => key))
  const extra = [...present].filter((key) => !expected.has(key))
  if (extra.length > 0) throw unexpectedKeys(source, extra, expected)
}

/** Our host values in the published layout. */
export function toPublished(values: Float32Array, tensor: PublishedTensor): Float32Array {
  return tensor.transposed ? transpose(values, [...tensor.shape].reverse()) : values
}

// ------------------------------------------------------------------------------------------------------ the rules

const rules = containers.map((container) => ({ container, pattern: patternOf(container.ours) }))

function publishedKey(path: string, flavour: KeyFlavour, config: ClipConfig): string {
  for (const { pattern, container } of rules) {
    const match = pattern.exec(path)
    if (!match) continue
    const template = container[flavour]
    if (template === null) break
    const prefix = fillIn(template, match.slice(1, -1).map(Number), config)
    const rest = match.at(-1)!.split(".").filter(Boolean)
    const fused = container.fused && (rest[0] === "weight" || rest[0] === "bias") ? [container.fused[flavour]] : []
    const renamed = rest.map((segment) => segments[segment]?.[flavour] ?? snakeCase(segment))
    return [prefix, ...fused, ...renamed].join(".")
  }
  throw new Error(`parameter "${path}" has no published name in the ${flavour} flavour`)
}

/** Our pattern as a regular expression; the last group is what stands below the container. */
function patternOf(pattern: string): RegExp {
  return new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("#", "(\\d+)")}(|\\..*)$`)
}

function fillIn(template: string, numbers: readonly number[], config: ClipConfig): string {
  const remaining = [...numbers]
  return template.replace(/#|@([dpb])/g, (_, part?: "d" | "p" | "b") => {
    const number = remaining.shift()!
    return String(part ? appleIndex(config.image as FastViTConfig, number, part) : number)
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

function publishedShape(path: string, { shape }: Parameter, flavour: KeyFlavour) {
  const transposed = flavour === "apple" && path === "image.head.weight"
  const batched = flavour === "apple" && path === "text.positionalEmbedding"
  return { transposed, shape: transposed ? [...shape].reverse() : batched ? [1, 1, ...shape] : shape }
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** Values of a matrix of this shape, as its transpose. */
function transpose(values: Float32Array, [rows, columns]: readonly number[]): Float32Array {
  const result = new Float32Array(values.length)
  for (let r = 0; r < rows!; r++) for (let c = 0; c < columns!; c++) result[c * rows! + r] = values[r * columns! + c]!
  return result
}

// --------------------------------------------------------------------------------------------------------- errors

function missingKey(source: string, key: string, present: Iterable<string>): UserError {
  return new UserError(
    `${source}: tensor "${key}" is missing`,
    `nearest names in the file: ${nearest(key, present).join(", ")}`,
  )
}

function unexpectedKeys(source: string, extra: readonly string[], known: Iterable<string>): UserError {
  const more = extra.length > 1 ? ` (and ${extra.length - 1} more)` : ""
  return new UserError(
    `${source}: tensor "${extra[0]}"${more} does not belong to this model`,
    `nearest names that do: ${nearest(extra[0]!, known).join(", ")}`,
  )
}

function checkShape(source: string, key: string, found: readonly number[], expected: readonly number[]): void {
  if (found.length === expected.length && found.every((dim, i) => dim === expected[i])) return
  throw new UserError(
    `${source}: tensor "${key}" has shape [${found}], expected [${expected}]`,
    "is it another variant?",
  )
}

/** The three names that share the most dotted segments with `key`. */
function nearest(key: string, names: Iterable<string>): string[] {
  const wanted = new Set(key.split("."))
  const score = (name: string) => name.split(".").filter((segment) => wanted.has(segment)).length
  return [...names].sort((a, b) => score(b) - score(a)).slice(0, 3)
}
