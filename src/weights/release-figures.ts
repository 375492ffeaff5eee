/** What helps to choose among the released models: what their licences allow, how large they are, and a recommendation. */
import { accuraciesOf, type PublishedAccuracy, published, publishedClip } from "../core/family/published.ts"
import { captioners, type VariantName, variants } from "../core/family/variants.ts"
import type { OnnxDtype } from "../core/precision.ts"
import { type License, licenses, type Release, released } from "../hub/released.ts"
import { Clip } from "../model/clip.ts"
import { Coca } from "../model/coca.ts"
import { reparameterize } from "../model/reparameterize.ts"

export interface ReleaseFigures extends Release {
  /** In words; null where the table does not say, and the repository does. */
  readonly terms: Pick<License, "name" | "use" | "commercial"> | null
  /** Published zero-shot accuracies in percent; null where there are none: an image tower alone, a captioner. */
  readonly accuracy: Pick<PublishedAccuracy, "imagenet" | "average38"> | null
  /** Size of the weights when they are converted, in millions of bytes. */
  readonly megabytes: Readonly<Record<OnnxDtype, number>>
  /** What it is the first choice for; null for most. */
  readonly recommendedFor: string | null
}

const recommended: Readonly<Record<string, string>> = {
  "MobileCLIP2-S0": "the smallest of MobileCLIP2: begin with it",
  "MobileCLIP2-S2": "between the smallest and the most accurate",
  "MobileCLIP2-S4": "the most accurate of the S family",
  "ViT-B-16-datacomp": "products: its licence allows commercial use, Apple's does not",
  "ViT-B-32-256-datacomp": "products that need speed: the same licence, a third of the image tower's operations",
  "CoCa-ViT-L-14-mscoco": "captions, with a licence for commercial use",
}

/** The first choices, in the order of the table. */
export function recommendations(): { readonly name: string; readonly recommendedFor: string }[] {
  return released.flatMap(({ name }) => {
    const recommendedFor = recommended[name]
    return recommendedFor === undefined ? [] : [{ name, recommendedFor }]
  })
}

/** Everything that can be pulled by name, in the order of the table. */
export function releaseFigures(): ReleaseFigures[] {
  return released.map((release) => ({
    ...release,
    terms: release.license && licenses[release.license],
    accuracy: accuracyOf(release),
    megabytes: megabytesOf(parametersOf(release.variant, release.contents)),
    recommendedFor: recommendedFor(release),
  }))
}

/** What may be used commercially by its licence. */
export function freeReleases(): ReleaseFigures[] {
  return releaseFigures().filter(({ terms }) => terms?.commercial === true)
}

/** Several files of one architecture of CLIP's have results of their own. */
function accuracyOf({ name, variant, contents }: Release): ReleaseFigures["accuracy"] {
  if (contents !== "clip") return null
  const own = Object.hasOwn(published, variant) ? accuraciesOf(variant as VariantName)[0] : null
  const found = own ?? publishedClip.find(({ release }) => release === name)
  return found ? { imagenet: found.imagenet, average38: found.average38 } : null
}

/** What a release is the first choice for; null for most. */
export function recommendedFor(release: Release | undefined): string | null {
  return (release && recommended[release.name]) ?? null
}

/** The size of so many values, in millions of bytes. */
export function megabytesOf(parameters: number): ReleaseFigures["megabytes"] {
  return { fp32: (4 * parameters) / 1e6, fp16: (2 * parameters) / 1e6 }
}

function parametersOf(name: string, contents: Release["contents"]): number {
  const key = `${name} ${contents}`
  const known = counted.get(key) ?? count(name, contents)
  counted.set(key, known)
  return known
}

/** Building a large model takes tenths of a second. */
const counted = new Map<string, number>()

/** Parameters of the fused towers, and of a captioner's decoder. */
function count(name: string, contents: Release["contents"]): number {
  if (Object.hasOwn(captioners, name)) return new Coca(captioners[name as keyof typeof captioners].model).learnedSize()
  const { image, text } = reparameterize(new Clip(variants[name as keyof typeof variants].model))
  return image.learnedSize() + (contents === "image tower" ? 0 : text.learnedSize())
}

/** What the licences of a model's weights allow, in words, each once. */
export function usesOf(name: string): string[] {
  const uses = released.flatMap(({ variant, license }) => (variant === name && license ? [licenses[license].use] : []))
  return [...new Set(uses)]
}
