/**
 * How fast named GPUs train, from their makers' figures and from what was measured on one of them.
 *
 * Transformers are bound by matrix products, and reach a share of the peak; FastViT's convolutions and norms are bound by
 * memory, and reach a share of its bandwidth. Both shares were measured on an H200 (docs/log.md, "On a GPU"): MobileCLIP2-B
 * with 1,528 and MobileCLIP2-S2 with 471 pairs a second. On other GPUs they are an assumption.
 */

import { FLOAT_BYTES } from "./activations.ts"
import { type PlanContext, passesOf, type TowerPlan, textsOf } from "./context.ts"

export interface Gpu {
  readonly label: string
  /** As the driver reports it, about. */
  readonly memoryBytes: number
  /** Operations a second of dense matrix products, published: bfloat16 or float16 with sums in float32, and TF32. */
  readonly half: number
  readonly tf32: number
  /** Bytes a second, published. */
  readonly bandwidth: number
}

const GIB = 2 ** 30

export const gpus = {
  h200: { label: "H200", memoryBytes: 139 * GIB, half: 989e12, tf32: 494e12, bandwidth: 4.8e12 },
  h100: { label: "H100", memoryBytes: 79 * GIB, half: 989e12, tf32: 494e12, bandwidth: 3.35e12 },
  a100: { label: "A100 80 GB", memoryBytes: 79 * GIB, half: 312e12, tf32: 156e12, bandwidth: 2.04e12 },
  "a100-40gb": { label: "A100 40 GB", memoryBytes: 39 * GIB, half: 312e12, tf32: 156e12, bandwidth: 1.56e12 },
  l40s: { label: "L40S", memoryBytes: 44 * GIB, half: 362e12, tf32: 183e12, bandwidth: 0.864e12 },
} as const satisfies Record<string, Gpu>

export type GpuName = keyof typeof gpus

export const gpuNames = Object.keys(gpus) as GpuName[]

/** Shares of the published peak and bandwidth, measured on an H200, whose measured peak is 805 TFLOP/s: 31.4 % of that. */
export const measuredShares = { peak: 0.256, bandwidth: 0.111 } as const

/** Pairs a second of one GPU: without waiting for data or for other ranks, and without teachers that run along. */
export function pairsPerSecond(context: PlanContext, gpu: Gpu): number {
  const { towers, recipe, config } = context
  const image = config.image.kind === "fastvit" ? convolutionSeconds : productSeconds
  const seconds =
    image(towers.image, context, gpu) * passesOf("image", context) +
    productSeconds(towers.text, context, gpu) * textsOf(recipe) * passesOf("text", context) +
    (towers.decoder ? productSeconds(towers.decoder, context, gpu) * passesOf("decoder", context) : 0)
  return 1 / seconds
}

/** Seconds of one forward pass that matrix products decide. */
function productSeconds({ multiplyAdds }: TowerPlan, { recipe }: PlanContext, { half, tf32 }: Gpu): number {
  const peak = recipe.precision === "fp32" ? tf32 : half
  return (2 * multiplyAdds) / (measuredShares.peak * peak)
}

/** Seconds of one forward pass that memory decides. */
function convolutionSeconds({ resultBytes }: TowerPlan, { recipe }: PlanContext, { bandwidth }: Gpu): number {
  const bytes = recipe.precision === "fp32" ? resultBytes : (resultBytes * 2) / FLOAT_BYTES
  return bytes / (measuredShares.bandwidth * bandwidth)
}
