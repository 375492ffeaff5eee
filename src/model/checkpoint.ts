/**
 * Our checkpoint: every parameter and buffer under its path in our module tree, and what is needed to use them
 * (configuration, preprocessing, licence) as JSON in the safetensors metadata.
 */
import { z } from "zod"
import { UserError } from "../core/errors.ts"
import type { Preprocessing } from "../core/preprocess.ts"
import type { SafetensorsFile, TensorToWrite } from "../core/safetensors.ts"
import type { ClipConfig } from "../core/variants.ts"
import { Clip } from "./clip.ts"
import { reparameterize } from "./reparameterize.ts"
import { loadValues } from "./state-dict.ts"

export interface CheckpointInfo {
  /** Of the variant or of the run; informative. */
  readonly name: string
  readonly config: ClipConfig
  readonly preprocessing: Preprocessing
  readonly license: string
  /** Image-text pairs seen in training. */
  readonly samplesSeen: number
}

const count = z.number().int().positive()

const stage = z.object({
  depth: count,
  dim: count,
  mlpRatio: count,
  mixer: z.enum(["repmixer", "attention"]),
  se: z.boolean().optional(),
  posEmb: z.boolean().optional(),
})

/** Files from before there was a choice have GELU. */
const activation = z.enum(["gelu", "quick-gelu"]).default("gelu")

const transformer = { width: count, layers: count, heads: count }

const imageTower = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("fastvit"),
    attentionNorm: z.enum(["batch", "layer"]),
    stemScaleBranch: z.boolean(),
    stages: z.array(stage).min(1),
  }),
  z.object({
    kind: z.literal("vit-conv-stem"),
    ...transformer,
    stemWidth: count,
    stemPadding: z.union([z.literal(0), z.literal(1)]),
    normEps: z.union([z.literal(1e-5), z.literal(1e-6)]),
  }),
  z.object({ kind: z.literal("vit"), ...transformer, patchSize: count, activation }),
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

const infoSchema = z.object({
  name: z.string(),
  config: z.object({ embedDim: count, imageSize: count, image: imageTower, text: textTower, headBias: z.boolean() }),
  preprocessing: z.object({
    size: count,
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

export type CheckpointForm = "train" | "reparameterized"

/** The metadata of a checkpoint file. `form` says whether blocks are still multi-branch. */
export function checkpointMetadata(info: CheckpointInfo, form: CheckpointForm = "train"): Record<string, string> {
  return { format, form, info: JSON.stringify(info) }
}

/** A model's tensors as they are stored, under our own paths. */
export function checkpointTensors(model: Clip): TensorToWrite[] {
  return [...model.namedParameters()].map(([name, parameter]) => ({
    name,
    dtype: parameter.dtype === "int64" ? "I64" : "F32",
    shape: parameter.shape,
    read: () => storedValues(parameter.dtype, parameter.read()),
  }))
}

export interface LoadedCheckpoint {
  readonly info: CheckpointInfo
  readonly form: CheckpointForm
  /** Values are read from the file when they are needed, so it must stay open. */
  readonly model: Clip
}

/** Throws UserError when the file is not one of ours, or damaged. `source` is its path, for messages. */
export function loadCheckpoint(file: SafetensorsFile, source: string): LoadedCheckpoint {
  const info = parseInfo(file.metadata, source)
  const form = file.metadata.form === "reparameterized" ? "reparameterized" : "train"
  const trainable = new Clip(info.config)
  const model = form === "reparameterized" ? reparameterize(trainable) : trainable
  const stateDict = {
    keys: [...file.tensors.keys()].filter((name) => !name.startsWith(optimizerPrefix)),
    shape: (name: string) => file.tensors.get(name)!.shape,
    read: (name: string) => file.readFloat32(name),
  }
  loadValues(model, stateDict, source)
  return { info, form, model }
}

function storedValues(dtype: "float32" | "int64", values: Float32Array): Float32Array | BigInt64Array {
  return dtype === "int64" ? BigInt64Array.from(values, BigInt) : values
}

function parseInfo(metadata: Readonly<Record<string, string>>, source: string): CheckpointInfo {
  if (metadata.format !== format) {
    throw new UserError(
      `${source} is not a mobileclip checkpoint: its metadata has no format "${format}"`,
      "give a checkpoint that `mobileclip train` or `mobileclip quickstart` wrote",
    )
  }
  const parsed = infoSchema.safeParse(parseJson(metadata.info))
  if (parsed.success) return parsed.data as CheckpointInfo
  const { path, message } = parsed.error.issues[0]!
  throw new UserError(`${source}: the configuration inside is damaged at "${path.join(".")}": ${message}`)
}

function parseJson(text = ""): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
