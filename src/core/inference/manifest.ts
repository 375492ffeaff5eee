/**
 * `mobileclip.json`: what a model directory says about itself. Export writes it, every runtime reads it.
 *
 * Layout of the directory, which transformers.js loads too (`CLIPVisionModelWithProjection`,
 * `CLIPTextModelWithProjection`): the two towers below; config.json, preprocessor_config.json, tokenizer.json,
 * tokenizer_config.json; this file. Embeddings come as the towers give them, not of unit length.
 */
import { z } from "zod"
import { oneLine, UserError } from "../errors.ts"
import { largestVocabulary, longestSequence, longestSide, widestVector } from "../family/size-limits.ts"
import type { ImageEncoderConfig, ModelConfig } from "../family/variants.ts"
import { isInside } from "../inside.ts"
import { isObject } from "../json.ts"
import { directoryDtypes } from "../precision.ts"

export const manifestFile = "mobileclip.json"

export const manifestFormat = "mobileclip-model-1"

/** The name of a file in the directory. */
const fileName = z.string().refine(isInside, "could be outside of its folder")

const towerFile = z.object({
  file: fileName,
  /** Names of the input and the output that matter. */
  input: z.string(),
  output: z.string(),
  /** Type of token ids. */
  ids: z.enum(["int64", "int32"]).optional(),
})

export type TowerFile = Readonly<z.infer<typeof towerFile>>

export interface TowerFiles {
  /** float32 [batch, 3, size, size], normalised -> [batch, embedDim] */
  readonly image: TowerFile
  /** [batch, contextLength], zero-padded -> [batch, embedDim] */
  readonly text: TowerFile
  /** For captioners: one more token for each row. */
  readonly decoder: TowerFile
}

/** A captioner's second output of the image tower, and input of its decoder: what the image is to each layer. */
export const memoryName = "image_memory"

/** Where directories that do not say keep their towers. */
export const towers = {
  image: { file: "onnx/vision_model.onnx", input: "pixel_values", output: "image_embeds" },
  text: { file: "onnx/text_model.onnx", input: "input_ids", output: "text_embeds" },
} as const satisfies Partial<TowerFiles>

const count = z.int().positive()
const width = count.max(widestVector)
const length = count.max(longestSequence)
const perChannel = z.tuple([z.number(), z.number(), z.number()]).readonly()

/** What a tower gives for the fixed inputs of `run/self-test.ts`: the start of each row, and all rows in two figures. */
const towerSelfTest = z.object({
  /** The first values of each embedding. */
  values: z.array(z.array(z.number()).min(1)).min(1),
  /** The length of each embedding. */
  norms: z.array(z.number()),
  /** Over all values of all rows. */
  standardDeviation: z.number().positive(),
})

export type TowerSelfTest = Readonly<z.infer<typeof towerSelfTest>>

const schema = z.object({
  format: z.literal(manifestFormat),
  name: z.string(),
  license: z.string(),
  /** Image-text pairs seen in training. */
  samplesSeen: z.int().nonnegative(),
  embedDim: width,
  /** Null where there is no text tower. */
  contextLength: length.nullable(),
  /** Factor on cosines before a softmax: exp of the trained parameter, at most 100. Null where there is no text tower. */
  logitScale: z.number().positive().nullable(),
  /** Type of the weights; `dtypeOfPart` says each tower's. */
  dtype: z.enum(directoryDtypes).default("fp32"),
  /** The names of all files follow from it. */
  layout: z.string().default("transformers.js"),
  towers: z
    .object({ image: towerFile, text: towerFile.optional(), decoder: towerFile.optional() })
    .default({ image: towers.image, text: towers.text }),
  /** The tokenizer for other libraries: what it is to repeat, and the texts for which it does not. */
  tokenizer: z.object({ file: fileName, reference: z.string(), differs: z.array(z.string()) }).optional(),
  /** Sizes of a captioner's decoder: values per token in its cache, and how many tokens the cache can hold. */
  decoder: z
    .object({
      cacheWidth: count.max(largestVocabulary),
      memoryWidth: width,
      vocabSize: count.max(largestVocabulary),
      contextLength: length,
    })
    .optional(),
  preprocessing: z.object({
    size: count.max(longestSide),
    interpolation: z.enum(["bilinear", "bicubic"]),
    mean: perChannel,
    std: perChannel,
  }),
  /** The architecture, for the record: nothing is built from it. */
  config: z.custom<ModelConfig | ImageEncoderConfig>((value) => typeof value === "object"),
  /** Learned values of the fused towers, as published figures count them. */
  parameters: z.object({ image: count, text: count.optional(), decoder: count.optional() }),
  /** The checkpoint this was made from; null when it came from memory. */
  source: z.object({ file: z.string(), sha256: z.string() }).nullable(),
  files: z.record(fileName, z.object({ bytes: count, sha256: z.string() })),
  /** Largest difference from the reference on fixed inputs, in standard deviations of the reference's embeddings. */
  verification: z.object({
    reference: z.string(),
    runtime: z.string(),
    tolerance: z.number(),
    imageError: z.number(),
    textError: z.number().optional(),
    /** The error of the decoder's logits. */
    decoderError: z.number().optional(),
    /** The lowest cosine between an embedding and the reference's; the measure for fp16. */
    cosine: z.number().optional(),
  }),
  /** What the reference gave, so that a copy can be tested without it. Directories of older versions have none. */
  selfTest: z.object({ image: towerSelfTest, text: towerSelfTest.optional() }).optional(),
})

export type Manifest = Readonly<z.infer<typeof schema>>

/** @param source a path or an address, for the message. Throws UserError when `value` is not a manifest of this format. */
export function parseManifest(value: unknown, source: string): Manifest {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const format = isObject(value) ? value.format : undefined
  if (typeof format === "string" && /^mobileclip-model-\d+$/.test(format) && format !== manifestFormat) {
    throw new UserError(
      `${source} is of format "${format}", and this version reads "${manifestFormat}"`,
      "update mobileclip, or convert the checkpoint again with this version",
    )
  }
  const { path, message } = parsed.error.issues[0]!
  throw new UserError(
    `${source} is not a model manifest of format "${manifestFormat}": ${oneLine(path.join(".")) || "it"}: ${message}`,
    "give a directory that `mobileclip convert`, `export` or `quickstart` wrote",
  )
}

/** The largest difference of any part of a model from its reference, in standard deviations of the reference's values. */
export function worstError({ imageError, textError = 0, decoderError = 0 }: Manifest["verification"]): number {
  return Math.max(imageError, textError, decoderError)
}
