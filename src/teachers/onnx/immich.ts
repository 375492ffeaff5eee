/** A CLIP in Immich's layout: open_clip's configuration, and each tower's own files beside it. */
import { z } from "zod"
import { checkTokenizer } from "../../core/text/tokenizer-file.ts"
import { agreed, type ClipDescription, length, parsed, perChannel, square, width } from "./description.ts"

export interface ImmichFiles {
  /** config.json; null where there is none. */
  readonly config: unknown
  /** visual/preprocess_cfg.json */
  readonly preprocess: unknown
  readonly tokenizer: unknown
  readonly tokenizerConfig: unknown
}

const configSchema = z.object({
  embed_dim: width.nullish(),
  vision_cfg: z.object({ image_size: square.nullish() }).nullish(),
  text_cfg: z.object({ context_length: length.nullish() }).nullish(),
})

const preprocessSchema = z.object({
  size: square.refine(([height, width]) => height === width, "expected is a square"),
  mode: z.literal("RGB").default("RGB"),
  mean: perChannel,
  std: perChannel,
  interpolation: z.enum(["bilinear", "bicubic"]),
  resize_mode: z.literal("shortest").default("shortest"),
})

/** Throws UserError where a file lacks something, or they contradict each other. `where` is the folder. */
export function immichClip(name: string, files: ImmichFiles, where: string): ClipDescription {
  const config = parsed(configSchema, files.config ?? {}, `${where}/config.json`)
  const pixels = parsed(preprocessSchema, files.preprocess, `${where}/visual/preprocess_cfg.json`)
  const { padding, contextLength } = checkTokenizer(files.tokenizer, files.tokenizerConfig, `${where}/textual`)
  const size = pixels.size[0]
  agreed(`${where}: pixels on a side`, {
    "preprocess_cfg.json": size,
    "config.json": config.vision_cfg?.image_size?.[0],
  })
  return {
    name,
    preprocessing: { size, interpolation: pixels.interpolation, mean: pixels.mean, std: pixels.std },
    contextLength: agreed(`${where}: tokens of a text`, {
      "config.json": config.text_cfg?.context_length,
      "tokenizer_config.json": contextLength,
    }),
    embedDim: config.embed_dim ?? null,
    padding,
    image: { input: "image", output: "embedding" },
    text: { input: "text", output: "embedding" },
  }
}
