/** The released models as the papers' figures have them: a series for each of the two families, points named by their size. */
import { variants } from "../core/family/variants.ts"
import type { ScatterPoint, ScatterSeries } from "../report/scatter.ts"

const families = [
  { name: "MobileCLIP", prefix: "mobileclip-", labels: "below" },
  { name: "MobileCLIP2", prefix: "mobileclip2-", labels: "above" },
] as const

export interface FamilyPoint extends Pick<ScatterPoint, "x" | "y"> {
  /** Key of the variant table; others than released models are in no series. */
  readonly variant: string
}

export function familySeries(points: readonly FamilyPoint[]): ScatterSeries[] {
  return families.map(({ name, prefix, labels }) => ({
    ...{ name, labels, joined: true },
    points: points
      .filter(({ variant }) => variant.startsWith(prefix))
      .map(({ variant, x, y }) => ({ name: shortName(variant), x, y })),
  }))
}

/** "mobileclip2-s0" -> "S0", "mobileclip-blt" -> "B (LT)", "vit-b-16" -> "ViT-B/16", "vit-b-32-256" -> "ViT-B/32-256" */
export function shortName(variant: string): string {
  const vit = /^vit-(\w)-(\d+(?:-256)?)$/.exec(variant)
  if (vit) return `ViT-${vit[1]!.toUpperCase()}/${vit[2]}`
  const size = /^mobileclip2?-(.*)$/.exec(variant)?.[1]
  if (size === undefined) return variant
  return size === "blt" ? "B (LT)" : size.replace(/^l14$/, "l/14").toUpperCase()
}

/** "mobileclip2-s0" -> "MobileCLIP2-S0"; a name that is not in the variant table stays as it is. */
export function fullName(name: string): string {
  if (!Object.hasOwn(variants, name)) return name
  const family = families.find(({ prefix }) => name.startsWith(prefix))
  return family ? `${family.name}-${shortName(name)}` : shortName(name)
}
