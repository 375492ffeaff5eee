/**
 * What the files of a folder say of a CLIP, in each of the layouts that `core/inference/onnx-files.ts` finds:
 *
 *     transformers.js   as Hugging Face's libraries write them (transformers `CLIPImageProcessor`, `CLIPConfig`)
 *     Immich            open_clip's configuration, and each tower's own files beside it
 *     ours              the manifest
 */
import { z } from "zod"
import { UserError } from "../core/errors.ts"
import { longestSequence, longestSide, widestVector } from "../core/family/size-limits.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import { checkTokenizer, type TokenizerFacts } from "../core/text/tokenizer-file.ts"
import type { TowerNames } from "./tower.ts"

/** Null stands for what no file says. */
export interface ClipDescription {
  readonly name: string
  readonly preprocessing: Preprocessing
  readonly contextLength: number | null
  readonly embedDim: number | null
  /** What texts are padded with. */
  readonly padding: number | null
  /** Factor on cosines before a softmax. */
  readonly logitScale: number | null
  readonly image: TowerNames
  /** Null where there is no text tower. */
  readonly text: TowerNames | null
}

/** A file of the folder as JSON; of one that is optional, null where there is none. */
interface JsonFiles {
  required(file: string): Promise<unknown>
  optional(file: string): Promise<unknown>
}

export function describeOurs(manifest: Manifest): ClipDescription {
  const { name, preprocessing, contextLength, embedDim, logitScale } = manifest
  const { image, text = null } = manifest.towers
  return { name, preprocessing, contextLength, embedDim, logitScale, padding: 0, image, text }
}

const count = z.int().positive()
const side = count.max(longestSide)
const width = count.max(widestVector)
const length = count.max(longestSequence)
const perChannel = z.tuple([z.number(), z.number(), z.number()])

/** A number, or a square. */
const square = z.union([
  side.transform((size) => [size, size] as const),
  z.tuple([side, side]),
  z.object({ height: side, width: side }).transform(({ height, width }) => [height, width] as const),
])

// ------------------------------------------------------------------------------------------------ transformers.js

const transformersConfig = z.object({
  projection_dim: width.nullish(),
  text_config: z.object({ max_position_embeddings: length.nullish() }).nullish(),
  vision_config: z.object({ image_size: side.nullish() }).nullish(),
})

/** PIL's numbers for the filters. */
const filters = { 2: "bilinear", 3: "bicubic" } as const

const flag = z.boolean().default(true)

const preprocessorConfig = z.object({
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

type PreprocessorConfig = z.infer<typeof preprocessorConfig>

/** Throws UserError where a file lacks something, or they contradict each other. `where` is the folder. */
export async function describeTransformers(name: string, files: JsonFiles, where: string): Promise<ClipDescription> {
  const config = parsed(transformersConfig, await files.required("config.json"), `${where}/config.json`)
  const file = "preprocessor_config.json"
  return described(name, where, {
    preprocessing: preprocessingOf(await files.required(file), `${where}/${file}`),
    preprocessingFile: file,
    tokenizer: await tokenizerIn("", files, where),
    imageSize: config.vision_config?.image_size,
    contextLength: config.text_config?.max_position_embeddings,
    embedDim: config.projection_dim,
    image: { input: "pixel_values", output: "image_embeds" },
    text: { input: "input_ids", output: "text_embeds" },
  })
}

function preprocessingOf(value: unknown, where: string): Preprocessing {
  const found = parsed(preprocessorConfig, value, where)
  const refuse = (problem: string) => new UserError(`${where}: ${problem}`, "no CLIP of this kind is supported")
  if (!found.do_resize || !found.do_rescale) throw refuse("do_resize and do_rescale must be true")
  if (Math.abs(found.rescale_factor * 255 - 1) > 1e-6) throw refuse(`rescale_factor is ${found.rescale_factor}`)
  const size = cropOf(found, where)
  return { size, interpolation: filters[found.resample], ...normalization(found, where) }
}

/** Pictures are resized to this on the shortest side and cropped to the same. */
function cropOf({ size, crop_size, do_center_crop }: PreprocessorConfig, where: string): number {
  const resized = "shortest_edge" in size ? size.shortest_edge : size[0]
  const [height, width] = (do_center_crop ? crop_size : undefined) ?? [resized, resized]
  if (height === width && height === resized) return height
  throw new UserError(
    `${where}: pictures are resized to ${resized} and cropped to ${height} x ${width}; expected is one size`,
    "pictures and views are made at the size of the tower: a margin around it is not supported",
  )
}

function normalization(found: PreprocessorConfig, where: string): Pick<Preprocessing, "mean" | "std"> {
  if (!found.do_normalize) return { mean: [0, 0, 0], std: [1, 1, 1] }
  const { image_mean: mean, image_std: std } = found
  if (mean && std?.every((value) => value > 0)) return { mean, std }
  throw new UserError(`${where}: image_mean or image_std is missing`, "say them, or set do_normalize to false")
}

// --------------------------------------------------------------------------------------------------------- Immich

const openClipConfig = z.object({
  embed_dim: width.nullish(),
  vision_cfg: z.object({ image_size: square.nullish() }).nullish(),
  text_cfg: z.object({ context_length: length.nullish() }).nullish(),
})

const preprocessConfig = z.object({
  size: square.refine(([height, width]) => height === width, "expected is a square"),
  mode: z.literal("RGB").default("RGB"),
  mean: perChannel,
  std: perChannel,
  interpolation: z.enum(["bilinear", "bicubic"]),
  resize_mode: z.literal("shortest").default("shortest"),
})

/** Throws UserError where a file lacks something, or they contradict each other. `where` is the folder. */
export async function describeImmich(name: string, files: JsonFiles, where: string): Promise<ClipDescription> {
  const config = parsed(openClipConfig, (await files.optional("config.json")) ?? {}, `${where}/config.json`)
  const file = "visual/preprocess_cfg.json"
  const { size, interpolation, mean, std } = parsed(preprocessConfig, await files.required(file), `${where}/${file}`)
  return described(name, where, {
    preprocessing: { size: size[0], interpolation, mean, std },
    preprocessingFile: "preprocess_cfg.json",
    tokenizer: await tokenizerIn("textual/", files, where),
    imageSize: config.vision_cfg?.image_size?.[0],
    contextLength: config.text_cfg?.context_length,
    embedDim: config.embed_dim,
    image: { input: "image", output: "embedding" },
    text: { input: "text", output: "embedding" },
  })
}

// ------------------------------------------------------------------------------------------------- both of others

/** What two layouts say in words of their own; `imageSize`, `contextLength` and `embedDim` are those of config.json. */
interface Facts extends Pick<ClipDescription, "preprocessing" | "image" | "text"> {
  readonly preprocessingFile: string
  readonly tokenizer: TokenizerFacts
  readonly imageSize: number | null | undefined
  readonly contextLength: number | null | undefined
  readonly embedDim: number | null | undefined
}

function described(name: string, where: string, facts: Facts): ClipDescription {
  const { preprocessing, tokenizer, image, text } = facts
  agreed(`${where}: pixels on a side`, {
    [facts.preprocessingFile]: preprocessing.size,
    "config.json": facts.imageSize,
  })
  const contextLength = agreed(`${where}: tokens of a text`, {
    "config.json": facts.contextLength,
    "tokenizer_config.json": tokenizer.contextLength,
  })
  // No file says it: the `logit_scale_init_value` of transformers' configuration is where training began.
  const logitScale = null
  const { padding } = tokenizer
  return { name, preprocessing, contextLength, embedDim: facts.embedDim ?? null, padding, logitScale, image, text }
}

async function tokenizerIn(folder: string, files: JsonFiles, where: string): Promise<TokenizerFacts> {
  const tokenizer = await files.required(`${folder}tokenizer.json`)
  const config = await files.optional(`${folder}tokenizer_config.json`)
  return checkTokenizer(tokenizer, config, `${where}/${folder}`.replace(/\/$/, ""))
}

// --------------------------------------------------------------------------------------------------------- checks

/** Throws UserError naming the file and the field. */
function parsed<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const { path, message } = result.error.issues[0]!
  throw new UserError(
    `${where}: ${path.join(".") || "it"}: ${message}`,
    "a model's preprocessing and sizes are never guessed: complete the file",
  )
}

/** The one value of those that are known. Throws UserError when they differ. */
export function agreed(what: string, values: Readonly<Record<string, number | null | undefined>>): number | null {
  const known = Object.entries(values).filter((entry): entry is [string, number] => entry[1] != null)
  if (new Set(known.map(([, value]) => value)).size < 2) return known[0]?.[1] ?? null
  throw new UserError(
    `${what}: ${known.map(([source, value]) => `${source} says ${value}`).join(", ")}`,
    "these files are of different models",
  )
}
