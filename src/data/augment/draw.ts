/** Draws the parameters of a view: torchvision's RandomResizedCrop, then RandAugment (0.14), from our own generator. */

import type { Random } from "../../core/arrays/random.ts"
import type { Size } from "../../core/image/resize.ts"
import { opNames, type StoredAugmentation, type StoredCrop, type StoredOp } from "./augmentation.ts"
import type { AugmentationConfig, RandAugment, RandomResizedCrop } from "./config.ts"
import { isSigned, magnitudeOf } from "./magnitudes.ts"

/** How many rectangles are tried before a central one is taken. */
const TRIES = 10

/** @param image the stored picture's size, in pixels */
export function drawAugmentation(
  config: Omit<AugmentationConfig, "normalize">,
  image: Size,
  random: Random,
): StoredAugmentation {
  const crop = drawCrop(config.randomResizedCrop, image, random)
  const { randAugment } = config
  const skipped = randAugment === null || !random.chance(randAugment.p)
  return [crop, skipped ? null : drawOps(randAugment, config.randomResizedCrop.size, random)]
}

export function drawCrop(config: Pick<RandomResizedCrop, "scale" | "ratio">, image: Size, random: Random): StoredCrop {
  const { scale, ratio } = config
  const { width, height } = image
  for (let i = 0; i < TRIES; i++) {
    const area = width * height * random.uniform(scale[0], scale[1])
    const aspect = Math.exp(random.uniform(Math.log(ratio[0]), Math.log(ratio[1])))
    const w = Math.round(Math.sqrt(area * aspect))
    const h = Math.round(Math.sqrt(area / aspect))
    if (w < 1 || h < 1 || w > width || h > height) continue
    return [random.int(height - h + 1), random.int(width - w + 1), h, w]
  }
  return centralCrop(ratio, image)
}

/** The largest one in the middle, of the picture's own ratio where that is allowed. */
export function centralCrop([least, most]: RandomResizedCrop["ratio"], { width, height }: Size): StoredCrop {
  const w = Math.max(Math.min(width, Math.round(height * most)), 1)
  const h = Math.max(Math.min(height, Math.round(width / least)), 1)
  return [Math.floor((height - h) / 2), Math.floor((width - w) / 2), h, w]
}

function drawOps({ numOps, magnitude, numMagnitudeBins }: RandAugment, size: number, random: Random): StoredOp[] {
  return Array.from({ length: numOps }, () => {
    const op = random.int(opNames.length)
    const strength = magnitudeOf(op, magnitude, numMagnitudeBins, size)
    return [op, isSigned(op) && random.chance(0.5) ? -strength : strength] as const
  })
}
