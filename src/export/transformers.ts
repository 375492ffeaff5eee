/** The files by which Hugging Face's libraries (transformers.js above all) know what to do with the towers. */
import type { Preprocessing } from "../core/image/preprocess.ts"
import { dtypeOfPart } from "../core/precision.ts"
import { endOfText, startOfText } from "../core/text/tokenizer.ts"
import { mergeTexts, tokenTexts } from "../core/text/vocabulary.ts"
import { normalizer } from "./normalizer.ts"
import type { SideConfig } from "./side-config.ts"

/** Id of "!". Padding with end of text, as some exports do, gives other embeddings: non-causal towers attend to it. */
const padding = 0
/** CLIP's pattern of words, without those that are tokens of their own (`core/text/tokenizer.ts`). */
const words = "'[sſ]|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|(?:(?!\u0345)[^\\s\\p{L}\\p{N}])+"
/** PIL's numbers for the filters. */
const resamplingFilters = { bilinear: 2, bicubic: 3 } as const

/** Files of a model directory by name, as JSON values. */
export function transformersFiles(
  { embedDim, contextLength, dtype, withData }: SideConfig,
  preprocessing: Preprocessing,
): Record<string, unknown> {
  return {
    "config.json": { model_type: "clip", projection_dim: embedDim, ...loadingConfig(dtype, withData) },
    "preprocessor_config.json": preprocessorConfig(preprocessing),
    ...tokenizerFiles(contextLength),
  }
}

/** What transformers.js must be told: a type other than its default, and the number of data files. */
function loadingConfig(dtype: SideConfig["dtype"], withData: readonly string[]) {
  if (dtype === "fp32" && withData.length === 0) return {}
  const counts = Object.fromEntries(withData.map((file) => [file, 1]))
  return { "transformers.js_config": { dtype: dtypesByFile(dtype), use_external_data_format: counts } }
}

/** Towers of different types are told by the beginning of their files' names. */
function dtypesByFile(dtype: SideConfig["dtype"]) {
  if (dtype !== "mixed") return dtype
  return { vision_model: dtypeOfPart(dtype, "image"), text_model: dtypeOfPart(dtype, "text") }
}

export function tokenizerFiles(contextLength: number): Record<string, unknown> {
  const tokens = tokenTexts()
  return {
    "tokenizer_config.json": tokenizerConfig(tokens, contextLength),
    "tokenizer.json": tokenizerJson(tokens, contextLength),
  }
}

function preprocessorConfig({ size, interpolation, mean, std }: Preprocessing) {
  return {
    image_processor_type: "CLIPImageProcessor",
    feature_extractor_type: "CLIPFeatureExtractor",
    do_convert_rgb: true,
    do_resize: true,
    size: { shortest_edge: size },
    resample: resamplingFilters[interpolation],
    do_center_crop: true,
    crop_size: { height: size, width: size },
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: mean.some((value) => value !== 0) || std.some((value) => value !== 1),
    image_mean: mean,
    image_std: std,
  }
}

function tokenizerConfig(tokens: readonly string[], contextLength: number) {
  return {
    tokenizer_class: "CLIPTokenizer",
    model_max_length: contextLength,
    bos_token: tokens[startOfText],
    eos_token: tokens[endOfText],
    unk_token: tokens[endOfText],
    pad_token: tokens[padding],
    do_lower_case: true,
    errors: "replace",
    add_prefix_space: false,
  }
}

/** Always `contextLength` ids. */
function tokenizerJson(tokens: readonly string[], contextLength: number) {
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: true, special: true }
  return {
    version: "1.0",
    truncation: { direction: "Right", max_length: contextLength, strategy: "LongestFirst", stride: 0 },
    padding: {
      strategy: { Fixed: contextLength },
      direction: "Right",
      pad_to_multiple_of: null,
      pad_id: padding,
      pad_type_id: 0,
      pad_token: tokens[padding],
    },
    added_tokens: [startOfText, endOfText].map((id) => ({ id, content: tokens[id], ...special })),
    normalizer: normalizer(),
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: words }, behavior: "Removed", invert: true },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: {
      type: "RobertaProcessing",
      cls: [tokens[startOfText], startOfText],
      sep: [tokens[endOfText], endOfText],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: tokens[endOfText],
      continuing_subword_prefix: "",
      end_of_word_suffix: "</w>",
      fuse_unk: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: mergeTexts(tokens),
    },
  }
}
