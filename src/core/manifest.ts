/**
 * `mobileclip.json`: what a model directory says about itself. Export writes it, every runtime reads it.
 *
 * Layout of the directory, which transformers.js loads too (`CLIPVisionModelWithProjection`,
 * `CLIPTextModelWithProjection`): the two towers below; config.json, preprocessor_config.json, tokenizer.json,
 * tokenizer_config.json; this file. Embeddings come as the towers give them, not of unit length.
 */
import { z } from "zod"
import { UserError } from "./errors.ts"
import type { ClipConfig } from "./variants.ts"

export const manifestFile = "mobileclip.json"

export const manifestFormat = "mobileclip-model-1"

/** Files of the towers, and the names of their inputs and outputs. */
export const towers = {
  /** float32 [batch, 3, size, size], normalised -> [batch, embedDim] */
  image: { file: "onnx/vision_model.onnx", input: "pixel_values", output: "image_embeds" },
  /** int64 [batch, contextLength], zero-padded -> [batch, embedDim] */
  text: { file: "onnx/text_model.onnx", input: "input_ids", output: "text_embeds" },
} as const

const count = z.int().positive()
const perChannel = z.tuple([z.number(), z.number(), z.number()]).readonly()

/** What a tower gives for the fixed inputs of `export/verify.ts`: the start of each row, and all rows in two figures. */
const towerSelfTest = z.object({
  /** The first values of each embedding. */
  values: z.array(z.array(z.number()).min(1)).min(1),
  /** The length of each embedding. */
  norms: z.array(z.number()),
  /** Of all values of all rows. */
  standardDeviation: z.number().positive(),
})

export type TowerSelfTest = Readonly<z.infer<typeof towerSelfTest>>

const schema = z.object({
  format: z.literal(manifestFormat),
  name: z.string(),
  license: z.string(),
  /** Image-text pairs seen in training. */
  samplesSeen: z.int().nonnegative(),
  embedDim: count,
  contextLength: count,
  /** Factor on cosines before a softmax: exp of the trained parameter, at most 100. */
  logitScale: z.number().positive(),
  preprocessing: z.object({
    size: count,
    interpolation: z.enum(["bilinear", "bicubic"]),
    mean: perChannel,
    std: perChannel,
  }),
  /** The architecture, for the record: nothing is built from it. */
  config: z.custom<ClipConfig>((value) => typeof value === "object"),
  /** Learned values of the fused towers. */
  parameters: z.object({ image: count, text: count }),
  /** The checkpoint this was made from; null when it came from memory. */
  source: z.object({ file: z.string(), sha256: z.string() }).nullable(),
  files: z.record(z.string(), z.object({ bytes: count, sha256: z.string() })),
  /** Largest difference from the reference on fixed inputs, in standard deviations of the reference's embeddings. */
  verification: z.object({
    reference: z.string(),
    runtime: z.string(),
    tolerance: z.number(),
    imageError: z.number(),
    textError: z.number(),
  }),
  /** What the reference gave, so that a copy can be tested without it. Directories of older versions have none. */
  selfTest: z.object({ image: towerSelfTest, text: towerSelfTest }).optional(),
})

export type Manifest = Readonly<z.infer<typeof schema>>

/** @param source a path or an address, for the message. Throws UserError when `value` is not a manifest of this format. */
export function parseManifest(value: unknown, source: string): Manifest {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]!
  throw new UserError(
    `${source} is not a model manifest of format "${manifestFormat}": ${path.join(".") || "it"}: ${message}`,
    "give a directory that `mobileclip export` or `mobileclip quickstart` wrote",
  )
}
