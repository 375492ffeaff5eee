/**
 * Our checkpoint: every parameter and buffer under its path in our module tree, and what is needed to use them
 * (configuration, preprocessing, licence) as JSON in the safetensors metadata.
 */
import { z } from "zod"
import type { TensorToWrite } from "../../core/containers/safetensors.ts"
import type { TensorFile } from "../../core/containers/tensor-file.ts"
import { UserError } from "../../core/errors.ts"
import { longestSide } from "../../core/family/size-limits.ts"
import type { ClipConfig, CocaConfig, ModelConfig } from "../../core/family/variants.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import { jsonOrNull } from "../../core/json.ts"
import { Clip } from "../clip.ts"
import { Coca } from "../coca.ts"
import type { Module } from "../module.ts"
import { reparameterize } from "../reparameterize.ts"
import { checkConfig } from "./check-config.ts"
import { loadValues } from "./state-dict.ts"

/** What a checkpoint of ours can hold. */
export type CheckpointModel = Clip | Coca

export interface CheckpointInfo<Config extends ModelConfig = ClipConfig> {
  /** The name of the variant or of the run; informative. */
  readonly name: string
  readonly config: Config
  readonly preprocessing: Preprocessing
  readonly license: string
  /** Image-text pairs seen in training. */
  readonly samplesSeen: number
}

const count = z.number().int().positive()
const side = count.max(longestSide)

const stage = z.object({
  depth: count,
  dim: count,
  mlpRatio: count,
  mixer: z.enum(["repmixer", "attention"]),
  se: z.boolean().optional(),
  posEmb: z.boolean().optional(),
})

/** Default for older files, which have no such field. */
const activation = z.enum(["gelu", "quick-gelu"]).default("gelu")

const transformer = { width: count, layers: count, heads: count }

const attention = z.object({ layers: count, heads: count })

const vit = z.object({ kind: z.literal("vit"), ...transformer, patchSize: count, activation })

const fastvit = z.object({
  kind: z.literal("fastvit"),
  attentionNorm: z.enum(["batch", "layer"]),
  stemScaleBranch: z.boolean(),
  stages: z.array(stage).min(1),
})

const imageTower = z.discriminatedUnion("kind", [
  fastvit,
  z.object({
    kind: z.literal("vit-conv-stem"),
    ...transformer,
    stemWidth: count,
    stemPadding: z.union([z.literal(0), z.literal(1)]),
    normEps: z.union([z.literal(1e-5), z.literal(1e-6)]),
  }),
  vit,
])

const textTower = z.object({
  kind: z.enum(["base", "mct"]),
  ...transformer,
  causal: z.boolean(),
  activation,
  contextLength: count,
  vocabSize: count,
})

const perChannel = z.tuple([z.number(), z.number(), z.number()])

const sizes = { embedDim: count, imageSize: side, text: textTower }

/** A captioner's configuration is the one with a decoder. */
const config = z.union([
  z.object({
    ...sizes,
    image: z.discriminatedUnion("kind", [fastvit, vit]),
    pooler: z.object({ queries: count, heads: count }),
    decoder: attention,
  }),
  z.object({ ...sizes, image: imageTower, headBias: z.boolean(), logitBias: z.literal(true).optional() }),
])

const infoSchema = z.object({
  name: z.string(),
  config,
  preprocessing: z.object({
    size: side,
    interpolation: z.enum(["bilinear", "bicubic"]),
    mean: perChannel,
    std: perChannel,
  }),
  license: z.string(),
  samplesSeen: z.number().int().nonnegative(),
})

const format = "mobileclip-checkpoint-1"

/** Names of tensors that training keeps beside the model's own; a model is loaded without them. */
export const optimizerPrefix = "optimizer."
export const averagePrefix = "ema."

export type CheckpointForm = "train" | "reparameterized"

/** The metadata of a checkpoint file. `form` says whether blocks are still multi-branch. */
export function checkpointMetadata(
  info: CheckpointInfo<ModelConfig>,
  form: CheckpointForm = "train",
): Record<string, string> {
  return { format, form, info: JSON.stringify(info) }
}

/** A model's tensors as they are stored, under our own paths. */
export function checkpointTensors(model: Module): TensorToWrite[] {
  return [...model.namedParameters()].map(([name, parameter]) => ({
    name,
    dtype: parameter.dtype === "int64" ? "I64" : "F32",
    shape: parameter.shape,
    read: () => storedValues(parameter.dtype, parameter.read()),
  }))
}

export interface LoadedCheckpoint {
  readonly info: CheckpointInfo<ModelConfig>
  readonly form: CheckpointForm
  /** Values are read from the file when they are needed, so it must stay open. */
  readonly model: CheckpointModel
}

/** Whether this is the metadata of a file of ours. */
export function isCheckpoint(metadata: Readonly<Record<string, string>>): boolean {
  return metadata.format === format
}

/** Whether a model of this configuration writes captions. */
export function isCoca(config: ModelConfig): config is CocaConfig {
  return "decoder" in config
}

/** The untrained model of a configuration. */
export function buildModel(config: ModelConfig): CheckpointModel {
  return isCoca(config) ? new Coca(config) : new Clip(config)
}

type CheckpointFile = Pick<TensorFile, "metadata" | "tensors" | "readFloat32">

/**
 * A CLIP model or a captioner. Throws UserError when the file is not one of ours or is damaged, before a model is built
 * for which it has no tensors. `source` is its path, for messages.
 */
export function loadAnyCheckpoint(file: CheckpointFile, source: string): LoadedCheckpoint {
  const info = parseInfo(file.metadata, source)
  const form = file.metadata.form === "reparameterized" ? "reparameterized" : "train"
  const isOwn = (name: string) => !name.startsWith(optimizerPrefix) && !name.startsWith(averagePrefix)
  const keys = [...file.tensors.keys()].filter(isOwn)
  checkConfig(info.config, keys.length, source)
  const trainable = buildModel(info.config)
  const model = form === "reparameterized" ? reparameterize(trainable) : trainable
  const stateDict = {
    keys,
    shape: (name: string) => file.tensors.get(name)!.shape,
    read: (name: string) => file.readFloat32(name),
  }
  loadValues(model, stateDict, source)
  return { info, form, model }
}

function storedValues(dtype: "float32" | "int64", values: Float32Array): Float32Array | BigInt64Array {
  return dtype === "int64" ? BigInt64Array.from(values, BigInt) : values
}

function parseInfo(metadata: Readonly<Record<string, string>>, source: string): CheckpointInfo<ModelConfig> {
  if (metadata.format !== format) {
    throw new UserError(
      `${source} is not a mobileclip checkpoint: its metadata has no format "${format}"`,
      "give a checkpoint that `mobileclip train` or `mobileclip quickstart` wrote; `mobileclip convert` takes the others",
    )
  }
  const parsed = infoSchema.safeParse(jsonOrNull(metadata.info ?? ""))
  if (parsed.success) return parsed.data as CheckpointInfo<ModelConfig>
  const { path, message } = parsed.error.issues[0]!
  throw new UserError(`${source}: the configuration inside is damaged at "${path.join(".")}": ${message}`)
}
