/**
 * Our checkpoint: every parameter and buffer under its path in our module tree, and what is needed to use them
 * (configuration, preprocessing, licence) as JSON in the safetensors metadata.
 */
import { z } from "zod"
import { UserError } from "../core/errors.ts"
import type { Preprocessing } from "../core/preprocess.ts"
import type { ClipConfig } from "../core/variants.ts"
import { Clip } from "./clip.ts"
import { reparameterize } from "./reparameterize.ts"
import { loadValues, type StateDict } from "./weights.ts"

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
    stemPadding: z.union([z.literal(0), z.literal(1)]),
    normEps: z.union([z.literal(1e-5), z.literal(1e-6)]),
  }),
  z.object({ kind: z.literal("vit"), ...transformer, patchSize: count }),
])

const textTower = z.object({
  kind: z.enum(["base", "mct"]),
  ...transformer,
  causal: z.boolean(),
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

/** The metadata of a checkpoint file. `form` says whether blocks are still multi-branch. */
export function checkpointMetadata(
  info: CheckpointInfo,
  form: "train" | "reparameterized" = "train",
): Record<string, string> {
  return { format, form, info: JSON.stringify(info) }
}

/** What a checkpoint file says about itself; throws a UserError when it is not one of ours. */
export function parseCheckpointInfo(metadata: Readonly<Record<string, string>>, source: string): CheckpointInfo {
  if (metadata.format !== format) {
    throw new UserError(
      `${source} is not a mobileclip checkpoint: its metadata has no format "${format}"`,
      "give a checkpoint that `mobileclip train` or `mobileclip quickstart` wrote",
    )
  }
  const parsed = infoSchema.safeParse(JSON.parse(metadata.info ?? "null"))
  if (parsed.success) return parsed.data as CheckpointInfo
  const issue = parsed.error.issues[0]!
  throw new UserError(`${source}: the configuration inside is damaged at "${issue.path.join(".")}": ${issue.message}`)
}

/** The model a checkpoint holds, in the form it was saved in; values are read when they are needed. */
export function loadCheckpoint(tensors: StateDict, metadata: Readonly<Record<string, string>>, source: string) {
  const info = parseCheckpointInfo(metadata, source)
  const trainable = new Clip(info.config)
  const model = metadata.form === "reparameterized" ? reparameterize(trainable) : trainable
  loadValues(model, tensors, source)
  return { info, model }
}
