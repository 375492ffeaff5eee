/**
 * A folder with parts of the data, each of class folders, as ImageNet and many others have it: `train/cat/1.jpg`,
 * `val/cat/2.jpg`. Such names are those of parts, and not of classes.
 */
import { join, sep } from "node:path"
import { oneLine, UserError } from "../../../core/errors.ts"

export interface Splits {
  /** Names of the parts' folders, in order. */
  readonly names: readonly string[]
  /** Null where there is none. */
  readonly train: string | null
  /** What training does not see: for validation, or else for a test. */
  readonly heldOut: string | null
}

const trainNames = ["train", "training"]
const heldOutNames = ["val", "valid", "validation", "dev", "eval", "test", "testing"]

/**
 * The parts where all pictures are in the class folders of some; null in other folders.
 *
 * @param pictures paths below the folder
 */
export function splitsOf(pictures: readonly string[]): Splits | null {
  const names = new Set<string>()
  for (const picture of pictures) {
    const [top = "", ...below] = picture.split(sep)
    if (below.length < 2 || !isSplit(top)) return null
    names.add(top)
  }
  const found = (wanted: readonly string[]) => wanted.flatMap((name) => named(names, name))[0] ?? null
  return { names: [...names].sort(), train: found(trainNames), heldOut: found(heldOutNames) }
}

function isSplit(name: string): boolean {
  return [...trainNames, ...heldOutNames].includes(name.toLowerCase())
}

function named(names: ReadonlySet<string>, wanted: string): string[] {
  return [...names].filter((name) => name.toLowerCase() === wanted)
}

/** The folder of the part to train on. Throws UserError where there is none. */
export function requireTrain(folder: string, { names, train }: Splits): string {
  if (train !== null) return train
  throw new UserError(
    `${folder} holds ${listed(names)} and no train${sep}`,
    `name the folder with the pictures to train on, for example ${join(folder, names[0]!)}`,
  )
}

/** @param use what is done with which parts */
export function splitsNote(folder: string, { names }: Splits, use: string): string {
  const [parts, classes] = names.length === 1 ? ["is taken for a part", "a class"] : ["are taken for parts", "classes"]
  return `${folder}: ${listed(names)} ${parts} of the data, not for ${classes}; ${use}`
}

/**
 * What becomes of such folders where pictures have captions beside them; null where there are none.
 *
 * @param pictures paths below the folder
 */
export function captionedNote(folder: string, pictures: readonly string[]): string | null {
  const tops = new Set(pictures.filter((picture) => picture.includes(sep)).map((picture) => picture.split(sep)[0]!))
  const names = [...tops].filter(isSplit).sort()
  if (!names.some((name) => heldOutNames.includes(name.toLowerCase()))) return null
  const are = names.length === 1 ? "is a folder" : "are folders"
  return `${folder}: ${listed(names)} ${are} like any other, because pictures have captions beside them: all are trained on`
}

function listed(names: readonly string[]): string {
  const shown = names.map((name) => oneLine(`${name}${sep}`))
  return shown.length === 1 ? shown[0]! : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`
}
