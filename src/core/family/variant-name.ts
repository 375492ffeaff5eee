/** How people write the names of models: case and separators do not matter. */
import { UserError } from "../errors.ts"
import { nearestNames } from "../nearest.ts"
import { captioners, type ModelName, type VariantName, variants } from "./variants.ts"

const variantNames = Object.keys(variants) as VariantName[]
const modelNames = [...variantNames, ...Object.keys(captioners)] as ModelName[]

/**
 * The variant that `name` means. Case and separators do not matter, nor do what stands before a colon (`hf-hub:`), an
 * organisation (`apple/`) and the suffix `-OpenCLIP`: "MobileCLIP2-S0", "mobileclip2_s0", "MobileCLIP-B (LT)".
 * Throws UserError with the nearest names where there is none.
 */
export function findVariant(name: string): VariantName {
  return find(name, variantNames)
}

/** The same among variants and captioners: "coca_ViT-L-14". */
export function findModel(name: string): ModelName {
  return find(name, modelNames)
}

function find<Name extends ModelName>(name: string, names: readonly Name[]): Name {
  const wanted = spellings(name)
  const found = names.find((candidate) => wanted.includes(bare(candidate)))
  if (found) return found
  const nearest = nearestNames(wanted.at(-1)!, names.map(bare)).map((near) => names.find((one) => bare(one) === near))
  throw new UserError(
    `there is no model named "${name}" in the family`,
    `nearest names: ${nearest.join(", ")}; \`mobileclip models\` lists all`,
  )
}

/** The name as given, and without an organisation: the slash of "MobileCLIP-L/14" does not end one. */
function spellings(name: string): string[] {
  const path = name.slice(name.lastIndexOf(":") + 1)
  return [path, path.slice(path.indexOf("/") + 1)].map(bare)
}

function bare(name: string): string {
  return bareName(name).replace(/openclip$/, "")
}

/** Letters and digits alone: "MobileCLIP2-S0" and "mobileclip2_s0" are one. */
export function bareName(name: string): string {
  return name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "")
}
