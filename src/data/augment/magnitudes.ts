/** How strong RandAugment's operations are: torchvision's tables (0.14), in float32 as it stores them. */
import { halfToEven } from "../../core/image/pixels.ts"
import { opNames } from "./augmentation.ts"

type OpName = (typeof opNames)[number]

/** These are applied in both directions. */
const signed: ReadonlySet<OpName> = new Set([
  ...(["ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"] as const),
  ...(["Brightness", "Color", "Contrast", "Sharpness"] as const),
])

export function isSigned(op: number): boolean {
  return signed.has(opNames[op]!)
}

/**
 * The operation's magnitude number `bin` of `bins`.
 *
 * @param size side of the view in pixels, of which translations are a part
 */
export function magnitudeOf(op: number, bin: number, bins: number, size: number): number {
  switch (opNames[op]!) {
    case "ShearX":
    case "ShearY":
      return linspace(0, 0.3, bin, bins)
    case "TranslateX":
    case "TranslateY":
      return linspace(0, (150 / 331) * size, bin, bins)
    case "Rotate":
      return linspace(0, 30, bin, bins)
    case "Brightness":
    case "Color":
    case "Contrast":
    case "Sharpness":
      return linspace(0, 0.9, bin, bins)
    case "Posterize":
      return 8 - halfToEven(Math.fround(bin / Math.fround((bins - 1) / 4)))
    case "Solarize":
      return linspace(255, 0, bin, bins)
    default:
      return 0
  }
}

/** torch.linspace(from, to, steps)[i]: counts from the nearer end, in float32, multiplying and adding at once. */
function linspace(from: number, to: number, i: number, steps: number): number {
  const [start, end] = [Math.fround(from), Math.fround(to)]
  const step = Math.fround(Math.fround(end - start) / (steps - 1))
  return Math.fround(i < Math.floor(steps / 2) ? start + step * i : end - step * (steps - 1 - i))
}
