/** What happens to a picture before the tower sees it, in words; and whether the family agrees. */

import { type VariantName, variants } from "../../core/family/variants.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import { type Check, checksOf } from "./check.ts"

const { ok, warning } = checksOf("Model")

export function preprocessingCheck(name: string, preprocessing: Preprocessing): Check {
  const text = preprocessingText(preprocessing)
  const facts = { preprocessing }
  const family = Object.hasOwn(variants, name) ? variants[name as VariantName].preprocessing : null
  if (!family || preprocessingText(family) === text) return ok("preprocessing", text, { facts })
  const fix = `${name} is published with: ${preprocessingText(family)}; other preprocessing costs accuracy`
  return warning("preprocessing", text, { fix, facts })
}

export function preprocessingText({ size, interpolation, mean, std }: Preprocessing): string {
  const resize = `shorter side to ${size} pixels (${interpolation}, antialiased as in Pillow), center ${size} x ${size}`
  const plain = mean.every((value) => value === 0) && std.every((value) => value === 1)
  if (plain) return `${resize}, RGB in 0..1 as it is (mean 0, std 1)`
  return `${resize}, RGB in 0..1 minus ${mean.join(" ")} divided by ${std.join(" ")}`
}
