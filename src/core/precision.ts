/** Types of floats that models compute in, and what users and files write for them. */

/** As libtorch and ONNX Runtime call it. */
export type Precision = "float32" | "bfloat16" | "float16"

/** Short names of weights, and open_clip's of autocast: `amp` alone is float16. */
const spellings = {
  fp32: "float32",
  bf16: "bfloat16",
  fp16: "float16",
  amp: "float16",
  amp_fp16: "float16",
  amp_bf16: "bfloat16",
  amp_bfloat16: "bfloat16",
} as const satisfies Record<string, Precision>

export function precisionOf<Spelling extends keyof typeof spellings>(spelling: Spelling): (typeof spellings)[Spelling] {
  return spellings[spelling]
}
