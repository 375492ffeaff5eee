/**
 * Where a folder or a repository keeps the towers of a CLIP as ONNX files, told by the names of its files:
 *
 *     ours              mobileclip.json, which says the rest
 *     transformers.js   onnx/vision_model.onnx and onnx/text_model.onnx, or onnx/model.onnx with both towers; config.json,
 *                       preprocessor_config.json, tokenizer.json, tokenizer_config.json
 *     Immich            visual/model.onnx, visual/preprocess_cfg.json; textual/model.onnx, textual/tokenizer.json;
 *                       config.json
 */
import { oneLine, UserError } from "../errors.ts"
import { type DirectoryDtype, directoryDtypes, dtypeOfPart, type OnnxDtype, onnxDtypes } from "../precision.ts"
import { manifestFile } from "./manifest.ts"

/** Which towers are loaded: a search needs the text tower alone, an index the image tower alone. */
export const towerChoices = ["both", "image", "text"] as const
export type Towers = (typeof towerChoices)[number]

export type OnnxFiles =
  | { readonly layout: "mobileclip"; readonly files: readonly string[] }
  | {
      readonly layout: "transformers.js" | "immich"
      /** The same file where it holds both towers. */
      readonly image: string
      readonly text: string
      /** All that is needed, these two included. */
      readonly files: readonly string[]
    }

/** For those who have a folder of none of them. */
export const neededFiles =
  "a folder needs mobileclip.json and its towers, which `mobileclip convert` and `mobileclip quickstart` write; or config.json, preprocessor_config.json, tokenizer.json and onnx/*.onnx (transformers.js); or visual/model.onnx, visual/preprocess_cfg.json, textual/model.onnx and textual/tokenizer.json (Immich)"

/** What transformers.js adds to a file's name for a type of the weights. */
export const dtypeSuffixes = { fp32: "", fp16: "_fp16" } as const satisfies Record<OnnxDtype, string>

/** The type of a tower's weights in the layouts of others, which say it in the file's name where it is not fp32. */
export function dtypeInName(file: string): OnnxDtype {
  return file.endsWith(`${dtypeSuffixes.fp16}.onnx`) ? "fp16" : "fp32"
}

/**
 * @param paths files, relative, with forward slashes
 * @param dtype of the weights; null: the first of `preferred` that is there
 * @param where a path or an address, for messages
 * @param towers whose files are needed; `files` has no others where each tower has files of its own
 * @returns null where there are no towers
 * @throws UserError where there are towers, but not these
 */
export function findOnnxFiles(
  paths: readonly string[],
  dtype: DirectoryDtype | null,
  where: string,
  towers: Towers = "both",
  preferred: readonly DirectoryDtype[] = onnxDtypes,
): OnnxFiles | null {
  const needed = paths.filter((path) => !isOfOther(path, towers))
  if (needed.includes(manifestFile)) {
    return { layout: "mobileclip", files: needed.filter((path) => /\.(onnx|onnx_data|json)$/.test(path)) }
  }
  const immichFiles = wanted(["visual/model.onnx", "textual/model.onnx"], towers)
  if (immichFiles.every((file) => needed.includes(file))) return immich(needed, dtype, where)
  const models = needed.filter((path) => /^onnx\/(vision_|text_)?model\w*\.onnx$/.test(path))
  if (models.length > 0) return transformers(needed, models, { dtypes: dtype ? [dtype] : preferred, where, towers })
  const loose = paths.filter((path) => path.endsWith(".onnx"))
  if (loose.length === 0) return null
  throw new UserError(
    `${where} has ${oneLine(loose.slice(0, 4).join(", "), 400)}, and nothing says which of them is which tower`,
    neededFiles,
  )
}

/** Graphs and weights of one tower, in every layout that keeps towers apart; the decoder continues the image tower. */
const towerFiles = {
  image: /^(onnx\/(vision_|decoder_)|visual\/model|decoder\/|image\.|decoder\.).*onnx/,
  text: /^(onnx\/text_|textual\/model|text\.).*onnx/,
} as const

function isOfOther(path: string, towers: Towers): boolean {
  return towers !== "both" && towerFiles[towers === "image" ? "text" : "image"].test(path)
}

/** Those that are needed of an image tower's file and a text tower's. */
function wanted([image, text]: readonly [string, string], towers: Towers): readonly string[] {
  return towers === "image" ? [image] : towers === "text" ? [text] : [image, text]
}

function immich(paths: readonly string[], dtype: DirectoryDtype | null, where: string): OnnxFiles {
  if (dtype !== null && dtype !== "fp32")
    throw new UserError(`${where}: Immich's layout has one type of weights`, "leave out --dtype")
  // Deeper folders hold the same towers for other runtimes; large towers have their weights in further files beside them.
  const wanted = /^(config\.json|(visual|textual)\/[^/]+(?<!\.armnn|\.rknn))$/
  const files = paths.filter((path) => wanted.test(path))
  return { layout: "immich", image: "visual/model.onnx", text: "textual/model.onnx", files }
}

function transformers(
  paths: readonly string[],
  models: readonly string[],
  {
    dtypes,
    where,
    towers,
  }: { readonly dtypes: readonly DirectoryDtype[]; readonly where: string; readonly towers: Towers },
): OnnxFiles {
  const found = dtypes.map((type) => towersIn(models, type, towers)).find((files) => files !== null)
  if (!found) {
    const missing = wanted(separateTowers(dtypes[0]!), towers).join(" and ")
    throw new UserError(
      `${where} has no ${missing} for ${dtypes[0]}, but ${oneLine(models.join(", "), 400)}`,
      `towers are read in ${directoryDtypes.join(" or ")} (--dtype)`,
    )
  }
  const [image, text] = found
  const beside = paths.filter((path) => found.some((model) => path.startsWith(`${model}_data`)))
  const sides = ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"]
  const given = sides.filter((path) => paths.includes(path))
  const graphs = wanted(found, towers)
  return { layout: "transformers.js", image, text, files: [...new Set([...graphs, ...beside, ...given])] }
}

/** Two files, or the same one twice; null where there are none of this type. */
function towersIn(models: readonly string[], dtype: DirectoryDtype, towers: Towers): readonly [string, string] | null {
  const both = dtype === "mixed" ? [] : [`onnx/model${dtypeSuffixes[dtype]}.onnx`]
  const choices = [separateTowers(dtype), ...both.map((file) => [file, file] as const)]
  return choices.find((files) => wanted(files, towers).every((file) => models.includes(file))) ?? null
}

function separateTowers(dtype: DirectoryDtype) {
  const suffix = (part: "image" | "text") => dtypeSuffixes[dtypeOfPart(dtype, part)]
  return [`onnx/vision_model${suffix("image")}.onnx`, `onnx/text_model${suffix("text")}.onnx`] as const
}
