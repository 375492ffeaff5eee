/** What the processor's instructions can do, as far as a choice depends on it. */
import { readFileSync } from "node:fs"

/** Instructions for products of matrices, from wide float32 to bfloat16, as Linux calls them. */
const known = ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"] as const
export type ProcessorFeature = (typeof known)[number]

/** Those of the known instructions that this processor has; none where the system does not list them (it is not Linux). */
export function processorFeatures(): readonly ProcessorFeature[] {
  if (process.platform !== "linux") return []
  try {
    return featuresIn(readFileSync("/proc/cpuinfo", "utf8"))
  } catch {
    return []
  }
}

/** @param cpuinfo the text of /proc/cpuinfo; a feature counts where every processor of the machine has it */
export function featuresIn(cpuinfo: string): ProcessorFeature[] {
  const lines = [...cpuinfo.matchAll(/^flags\s*:(.*)$/gm)].map(([, flags]) => new Set(flags!.trim().split(/\s+/)))
  return lines.length === 0 ? [] : known.filter((feature) => lines.every((flags) => flags.has(feature)))
}

/** The instructions that multiply matrices of bfloat16; null where there are none, so that bfloat16 is slower than float32. */
export function bfloat16Instructions(features: readonly ProcessorFeature[]): "amx_bf16" | "avx512_bf16" | null {
  return (["amx_bf16", "avx512_bf16"] as const).find((feature) => features.includes(feature)) ?? null
}

/** In a few words, for people. */
export function bfloat16Text(features: readonly ProcessorFeature[]): string {
  const instructions = bfloat16Instructions(features)
  return instructions ? `bfloat16 by ${instructions}` : "no instructions for bfloat16"
}
