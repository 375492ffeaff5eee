/**
 * open_clip's pairs of architecture and weights (`--model-name ViT-L-14 --pretrained datacomp_xl_s13b_b90k`) as releases
 * of `released.ts`. Source: open_clip `pretrained.py`@7260a46.
 *
 * Weights were trained with GELU or with QuickGELU, and no tensor says which. open_clip takes the activation from the
 * architecture's name and warns where the weights have the other one; here the weights decide.
 */
import { UserError } from "../core/errors.ts"
import { bareName } from "../core/family/variant-name.ts"
import { type Release, released } from "./released.ts"

interface Pair {
  readonly model: string
  readonly tag: string
  /** The name of the release. */
  readonly name: string
}

const pairs: readonly Pair[] = [
  { model: "ViT-L-14-quickgelu", tag: "openai", name: "ViT-L-14-openai" },
  { model: "ViT-L-14-quickgelu", tag: "dfn2b", name: "DFN2B-CLIP-ViT-L-14" },
  { model: "ViT-L-14", tag: "dfn2b_s39b", name: "DFN2B-CLIP-ViT-L-14-39B" },
  { model: "ViT-L-14", tag: "datacomp_xl_s13b_b90k", name: "ViT-L-14-datacomp" },
  { model: "ViT-B-16", tag: "datacomp_xl_s13b_b90k", name: "ViT-B-16-datacomp" },
  { model: "ViT-B-16", tag: "laion2b_s34b_b88k", name: "ViT-B-16-laion2b" },
  { model: "ViT-B-16-quickgelu", tag: "openai", name: "ViT-B-16-openai" },
  { model: "ViT-B-32-256", tag: "datacomp_s34b_b86k", name: "ViT-B-32-256-datacomp" },
  { model: "ViT-B-32", tag: "datacomp_xl_s13b_b90k", name: "ViT-B-32-datacomp" },
  { model: "ViT-B-32", tag: "laion2b_s34b_b79k", name: "ViT-B-32-laion2b" },
  { model: "ViT-B-32-quickgelu", tag: "openai", name: "ViT-B-32-openai" },
  { model: "coca_ViT-L-14", tag: "mscoco_finetuned_laion2B-s13B-b90k", name: "CoCa-ViT-L-14-mscoco" },
  ...["S1", "S2", "B"].map((size) => pair(`MobileCLIP-${size}`, "datacompdr")),
  { model: "MobileCLIP-B", tag: "datacompdr_lt", name: "MobileCLIP-B-LT" },
  ...["S0", "S2", "B", "S3", "L-14", "S4"].map((size) => pair(`MobileCLIP2-${size}`, "dfndr2b")),
]

function pair(model: string, tag: string): Pair {
  return { model, tag, name: model }
}

interface Pretrained {
  readonly release: Release
  /** What the user should know, where the pair is not taken literally. */
  readonly note: string | null
}

/**
 * @param model open_clip's name of an architecture
 * @param tag open_clip's name of weights for it
 * @throws UserError where there are no such weights, or they were trained with GELU and QuickGELU is asked for
 */
export function findPretrained(model: string, tag: string): Pretrained {
  const candidates = pairs.filter((pair) => bareName(pair.tag) === bareName(tag))
  const exact = candidates.find((pair) => bareName(pair.model) === bareName(model))
  if (exact) return { release: releaseOf(exact), note: null }
  const other = candidates.find((pair) => architecture(pair.model) === architecture(model))
  if (!other) throw unknownPair(model, tag)
  // The papers' own command line has this pair: the open_clip of that time corrected it silently.
  if (isQuickGelu(other.model)) {
    const note = `${model} with ${tag} is read as ${other.model}: these weights were trained with QuickGELU`
    return { release: releaseOf(other), note }
  }
  throw new UserError(
    `${tag} was trained with GELU, and ${model} has QuickGELU: its embeddings would be wrong`,
    `give ${other.model} with ${tag}`,
  )
}

function releaseOf({ name }: Pair): Release {
  return released.find((release) => release.name === name)!
}

function unknownPair(model: string, tag: string): UserError {
  const ofModel = pairs.filter((pair) => architecture(pair.model) === architecture(model))
  const listed = (ofModel.length > 0 ? ofModel : pairs).map((pair) => `${pair.model} with ${pair.tag}`)
  return new UserError(
    `no weights "${tag}" are known for ${model}`,
    `known: ${listed.join(", ")}; or give a repository (hf-hub:owner/name), a folder or a checkpoint`,
  )
}

function architecture(model: string): string {
  return bareName(model).replace(/quickgelu$/, "")
}

function isQuickGelu(model: string): boolean {
  return bareName(model).endsWith("quickgelu")
}
