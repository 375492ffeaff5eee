/**
 * A CLIP in transformers.js' layout: `config.json`, `preprocessor_config.json` and the tokenizer's files, as Hugging
 * Face's libraries write them (transformers `CLIPImageProcessor`, `CLIPConfig`).
 */
import { z } from "zod"
import { UserError } from "../../core/errors.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import { checkTokenizer } from "../../core/text/tokenizer-file.ts"
import { agreed, type ClipDescription, length, parsed, perChannel, side, square, width } from "./description.ts"

export interface TransformersFiles {
  readonly config: unknown
  readonly preprocessor: unknown
  readonly tokenizer: unknown
  /** Null where there is none. */
  readonly tokenizerConfig: unknown
}

const configSchema = z.object({
  projection_dim: width.nullish(),
  text_config: z.object({ max_position_embeddings: length.nullish() }).nullish(),
  vision_config: z.object({ image_size: side.nullish() }).nullish(),
})

/** PIL's numbers for the filters. */
const filters = { 2: "bilinear", 3: "bicubic" } as const

const flag = z.boolean().default(true)

const preprocessorSchema = z.object({
  do_resize: flag,
  size: z.union([z.object({ shortest_edge: side }), square]),
  resample: z.union([z.literal(2), z.literal(3)]),
  do_center_crop: flag,
  crop_size: square.optional(),
  do_rescale: flag,
  rescale_factor: z.number().default(1 / 255),
  do_normalize: flag,
  image_mean: perChannel.optional(),
  image_std: perChannel.optional(),
})

/** Throws UserError where a file lacks something, or they contradict each other. `where` is the folder. */
export function transformersClip(name: string, files: TransformersFiles, where: string): ClipDescription {
  const config = parsed(configSchema, files.config, `${where}/config.json`)
  const preprocessing = preprocessingOf(files.preprocessor, `${where}/preprocessor_config.json`)
  const { padding, contextLength } = checkTokenizer(files.tokenizer, files.tokenizerConfig, where)
  agreed(`${where}: pixels on a side`, {
    "preprocessor_config.json": preprocessing.size,
    "config.json": config.vision_config?.image_size,
  })
  return {
    name,
    preprocessing,
    contextLength: agreed(`${where}: tokens of a text`, {
      "config.json": config.text_config?.max_position_embeddings,
      "tokenizer_config.json": contextLength,
    }),
    embedDim: config.projection_dim ?? null,
    padding,
    image: { input: "pixel_values", output: "image_embeds" },
    text: { input: "input_ids", output: "text_embeds" },
  }
}

function preprocessingOf(value: unknown, where: string): Preprocessing {
  const found = parsed(preprocessorSchema, value, where)
  const refuse = (problem: string) => new UserError(`${where}: ${problem}`, "no CLIP of this kind is supported")
  if (!found.do_resize || !found.do_rescale) throw refuse("do_resize and do_rescale must be true")
  if (Math.abs(found.rescale_factor * 255 - 1) > 1e-6) throw refuse(`rescale_factor is ${found.rescale_factor}`)
  const size = cropOf(found, where)
  return { size, interpolation: filters[found.resample], ...normalization(found, where) }
}

/** Pictures are resized to this on the shortest side and cropped to the same. */
function cropOf({ size, crop_size, do_center_crop }: z.infer<typeof preprocessorSchema>, where: string): number {
  const resized = "shortest_edge" in size ? size.shortest_edge : size[0]
  const [height, width] = (do_center_crop ? crop_size : undefined) ?? [resized, resized]
  if (height === width && height === resized) return height
  throw new UserError(
    `${where}: pictures are resized to ${resized} and cropped to ${height} x ${width}; expected is one size`,
    "views are drawn at the size of the tower, and a margin around it is not known there",
  )
}

function normalization(found: z.infer<typeof preprocessorSchema>, where: string): Pick<Preprocessing, "mean" | "std"> {
  if (!found.do_normalize) return { mean: [0, 0, 0], std: [1, 1, 1] }
  const { image_mean: mean, image_std: std } = found
  if (mean && std?.every((value) => value > 0)) return { mean, std }
  throw new UserError(`${where}: image_mean or image_std is missing`, "say them, or set do_normalize to false")
}
