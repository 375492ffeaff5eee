/** What the 14 released models scored, in the shape of a run's results, with their parameters and latency. */
import { published } from "../../core/family/published.ts"
import type { VariantName } from "../../core/family/variants.ts"
import type { ScoredTask } from "./averages.ts"
import { publishedTable } from "./published-results.ts"
import { findTask } from "./tasks.ts"

export interface PublishedModel {
  /** As its result file is named: `MobileCLIP-B-LT`. */
  readonly name: string
  readonly variant: VariantName
  readonly results: readonly PublishedResult[]
  /** In millions, of both fused towers together. */
  readonly parameters: number
  /** In milliseconds on an iPhone 12 Pro Max, both towers together. */
  readonly latency: number
}

interface PublishedResult extends ScoredTask {
  readonly dataset: string
}

/** In the order in which they were released. Faces have averages and no groups. */
export const publishedModels: readonly PublishedModel[] = readTable(publishedTable)

/** The model of a name, however it is written: `MobileCLIP2-L-14`, `mobileclip2-l14`, `MobileCLIP2_L14`. Null where there is none. */
export function findPublished(name: string): PublishedModel | null {
  return publishedModels.find((model) => plainName(model.name) === plainName(name)) ?? null
}

function readTable(table: string): PublishedModel[] {
  const [header, ...lines] = table
    .trimEnd()
    .split("\n")
    .map((line) => line.split(","))
  return header!.slice(2).map((name, model) => {
    const variant = variantOf(name)
    const { parameters, latency } = published[variant]!
    return {
      ...{ name, variant, results: resultsOf(lines, model) },
      parameters: tenths(parameters.image + parameters.text),
      latency: tenths(latency.image + latency.text),
    }
  })
}

function resultsOf(lines: readonly (readonly string[])[], model: number): PublishedResult[] {
  const byKey = new Map<string, Record<string, number | null>>()
  for (const [key, metric, ...values] of lines) {
    const value = values[model]!
    if (value === "") continue
    byKey.set(key!, { ...byKey.get(key!), [metric!]: Number(value) })
  }
  return [...byKey].map(([key, metrics]) => {
    const { name, mainMetric } = findTask(key)!
    return {
      key,
      dataset: name,
      metrics: { ...metrics, main_metric: mainMetric === null ? null : metrics[mainMetric]! },
    }
  })
}

function variantOf(name: string): VariantName {
  const variants = Object.keys(published) as VariantName[]
  return variants.find((variant) => plainName(variant) === plainName(name))!
}

/** Figures were published in tenths. */
function tenths(value: number): number {
  return Math.round(10 * value) / 10
}

function plainName(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, "")
}
