/** Types of floats that models compute in, and what users and files write for them. */

/** As libtorch and ONNX Runtime call it. */
export type Precision = "float32" | "bfloat16" | "float16"

/** Weights in ONNX files. */
export const onnxDtypes = ["fp32", "fp16"] as const
export type OnnxDtype = (typeof onnxDtypes)[number]

/** A model's ONNX files: one type for all, or "mixed", for browsers: the image tower in fp16, texts in fp32. */
export const directoryDtypes = [...onnxDtypes, "mixed"] as const
export type DirectoryDtype = (typeof directoryDtypes)[number]

export function dtypeOfPart(dtype: DirectoryDtype, part: "image" | "text" | "decoder"): OnnxDtype {
  if (dtype !== "mixed") return dtype
  return part === "image" ? "fp16" : "fp32"
}

/** Models that generate data. */
export const modelDtypes = ["fp32", "fp16", "bf16"] as const
export type ModelDtype = (typeof modelDtypes)[number]

/** As a user asks for it: "auto" is the faster of fp32 and bf16, by a short measurement. */
export type WantedDtype = ModelDtype | "auto"

/** In recipes, by open_clip's words. */
export const recipePrecisions = ["fp32", "amp_bf16", "amp_fp16"] as const
type RecipePrecision = (typeof recipePrecisions)[number]

/** What else open_clip's flag takes. */
export const recipePrecisionAliases: Readonly<Record<string, RecipePrecision>> = {
  amp: "amp_fp16",
  amp_bfloat16: "amp_bf16",
}

const spellings = {
  fp32: "float32",
  fp16: "float16",
  bf16: "bfloat16",
  amp_fp16: "float16",
  amp_bf16: "bfloat16",
} as const satisfies Record<ModelDtype | RecipePrecision, Precision>

export function precisionOf<Spelling extends keyof typeof spellings>(spelling: Spelling): (typeof spellings)[Spelling] {
  return spellings[spelling]
}

export function dtypeOf(precision: Precision): ModelDtype {
  return modelDtypes.find((dtype) => spellings[dtype] === precision)!
}
