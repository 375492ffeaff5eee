/** Chooses the pictures that are held out from training, to measure its effect. */
import { Random } from "../core/arrays/random.ts"
import { type Classes, classesOf, type OwnPicture, type OwnPictures } from "./own-pictures.ts"

export interface Split {
  readonly train: readonly OwnPicture[]
  readonly heldOut: readonly OwnPicture[]
}

interface HoldOut {
  /** Share of all pictures, above 0 and below 1. */
  readonly share: number
  readonly seed: number
  /** About the most pictures that are held out. */
  readonly most: number
}

type Pictures = Pick<OwnPictures, "pictures" | "classes"> & Partial<Pick<OwnPictures, "heldOut">>

/**
 * Holds out the same share of every class, at least one picture of each class that has two; where the folder has pictures for
 * that, those. The order stays.
 */
export function holdOut({ pictures, classes, heldOut }: Pictures, { share, seed, most }: HoldOut): Split {
  if (heldOut) {
    const isFew = heldOut.length <= most
    const chosen = isFew ? heldOut : holdOut({ pictures: heldOut, classes }, { share: 1, seed, most }).heldOut
    return { train: pictures, heldOut: chosen }
  }
  const part = Math.min(share, most / pictures.length)
  const groups = classes ? byClass(pictures, classes) : [pictures]
  const least = classes ? 1 : 2
  const held = new Set(groups.flatMap((group, i) => drawn(group, part, least, Random.of(seed, "hold-out", i))))
  return {
    train: pictures.filter((picture) => !held.has(picture)),
    heldOut: pictures.filter((picture) => held.has(picture)),
  }
}

function byClass(pictures: readonly OwnPicture[], classes: Classes): OwnPicture[][] {
  const groups = classes.names.map((): OwnPicture[] => [])
  const classOf = classesOf(classes)
  for (const picture of pictures) groups[classOf(picture)]!.push(picture)
  return groups
}

/** At most all pictures but one, so that each class has something to learn from. */
function drawn(group: readonly OwnPicture[], share: number, least: number, random: Random): OwnPicture[] {
  const count = Math.min(Math.max(Math.round(share * group.length), least), group.length - 1)
  return random.shuffle(group).slice(0, count)
}
