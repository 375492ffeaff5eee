/** What the 14 released models scored, in the shape of a run's results, with their parameters and latency. */
import type { VariantName } from "../../core/family/variants.ts"
import type { ScoredTask } from "./averages.ts"

export interface PublishedModel {
  /** As in the published files: `MobileCLIP2-S0`. */
  readonly name: string
  readonly variant: VariantName
  readonly results: readonly (ScoredTask & { readonly dataset: string })[]
  /** In millions, of both towers together. */
  readonly parameters: number
  /** In milliseconds on an iPhone 12 Pro Max, both towers together. */
  readonly latency: number
}

export declare const publishedModels: readonly PublishedModel[]

/** By name, variant, or a user's spelling of either (`mobileclip2-s0`, `MobileCLIP2_S0`). */
export declare function findPublished(name: string): PublishedModel | null
