/**
 * A user's pictures, with captions or with names of classes. The names of class folders are classes; so are captions of a
 * list that several pictures share, because such captions do not tell one picture from another.
 */
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { UserError } from "../core/errors.ts"
import { mapOrdered } from "../core/parallel.ts"
import { alikeLabels } from "../core/text/alike-labels.ts"
import { defaultTemplates } from "../core/text/prompts.ts"
import { readCaptions } from "../data/training/sources/captions.ts"
import type { SampleList, SampleLocation } from "../data/training/sources/location.ts"
import { type ListOptions, openList } from "../data/training/sources/open-source.ts"
import { detectFormat } from "../data/training/sources/source.ts"
import { TurnClock } from "../host/turns.ts"

export interface OwnPicture {
  readonly path: string
  /** At least one caption; for a picture of a class, the name of the class alone. */
  readonly captions: readonly string[]
}

export interface OwnPictures {
  readonly pictures: readonly OwnPicture[]
  /** What the folder itself keeps from training, in `val/` beside `train/`; null where it does not. */
  readonly heldOut: readonly OwnPicture[] | null
  /** Null where pictures have captions of their own. */
  readonly classes: Classes | null
  /** Pictures left out because they have no caption. */
  readonly withoutCaption: number
  /** A line about each kind of file that was left out, and about classes that no model can tell apart. */
  readonly notes: readonly string[]
}

export interface Classes {
  /** In alphabetical order. */
  readonly names: readonly string[]
  /** Prompts, in which `{}` is the name. */
  readonly templates: readonly string[]
}

export interface OwnPicturesOptions extends Omit<ListOptions, "templates"> {
  /** Prompts for class names. Default: "a photo of a {}." for folders, and the name as it is for lists. */
  readonly templates?: readonly string[]
}

/** With fewer pictures, training learns nothing and its effect cannot be measured. */
const fewestPictures = 10

/** Caption files that are open at once; a system may allow a few thousand or fewer. */
const filesAtOnce = 64

/** Captions count as names of classes where, on average, at least this many pictures share one. */
const picturesPerClass = 4

/** Throws UserError where there are too few pictures, no captions, or one class only, and the signal's reason. */
export async function readOwnPictures(source: string, options: OwnPicturesOptions = {}): Promise<OwnPictures> {
  const format = await detectFormat(source)
  if (format === "shards" || format === "reinforced") {
    throw new UserError(
      `${source} holds shards; a folder of pictures, a CSV or a JSONL file was expected`,
      "`mobileclip train` trains on shards",
    )
  }
  const list = await openList(source, format, { ...options, templates: ["{}"] })
  try {
    return await readList(list, source, format, options)
  } finally {
    list.close?.()
  }
}

async function readList(
  list: SampleList,
  source: string,
  format: "folder" | "csv" | "jsonl",
  options: OwnPicturesOptions,
): Promise<OwnPictures> {
  const found = await picturesOf(list, options)
  const heldOut = list.heldOut ? await picturesOf(list.heldOut.samples, options) : null
  const pictures = joined(found.filter(({ captions }) => captions.length > 0))
  const names = classNamesOf([...pictures, ...(heldOut ?? [])], format === "folder" && isGiven(list.location(0)))
  checkPictures(source, found.length, pictures, names)
  const templates = options.templates ?? (format === "folder" ? defaultTemplates : ["{}"])
  return {
    pictures,
    heldOut,
    classes: names && { names, templates },
    notes: [
      ...(list.notes ?? []),
      ...(list.heldOut ? [`${join(source, list.heldOut.name)} is what is held out`] : []),
      ...(names ? alikeLabels(names, templates) : []),
    ],
    withoutCaption: found.filter(({ captions }) => captions.length === 0).length,
  }
}

/** Gives the class of a picture, as an index into the names. */
export function classesOf({ names }: Classes): (picture: OwnPicture) => number {
  const numbers = new Map(names.map((name, i) => [name, i]))
  return ({ captions }) => numbers.get(captions[0]!)!
}

/** Whether the caption is the folder's name, and not read from a file beside the picture. */
function isGiven(location: SampleLocation): boolean {
  return location.kind === "file" && !("file" in location.captions)
}

/** Throws the signal's reason. */
async function picturesOf(list: SampleList, { signal }: OwnPicturesOptions): Promise<OwnPicture[]> {
  const found: OwnPicture[] = []
  const clock = new TurnClock()
  for await (const picture of mapOrdered(Array(list.count).keys(), filesAtOnce, (i) => pictureAt(list.location(i)))) {
    found.push(picture)
    if (!clock.isOver()) continue
    // Captions of a list wait for no file.
    await setImmediate()
    signal?.throwIfAborted()
  }
  return found
}

async function pictureAt(location: SampleLocation): Promise<OwnPicture> {
  if (location.kind !== "file") throw new Error(`a list names files, not a ${location.kind}`)
  return { path: location.path, captions: await readCaptions(location.captions) }
}

/** A picture may be in several rows of a list, with a caption in each. It becomes one picture, so that it is not on both sides of the split. */
export function joined(pictures: readonly OwnPicture[]): OwnPicture[] {
  const byPath = new Map<string, Set<string>>()
  for (const { path, captions } of pictures) {
    const known = byPath.get(path)
    if (known) for (const caption of captions) known.add(caption)
    else byPath.set(path, new Set(captions))
  }
  return [...byPath].map(([path, captions]) => ({ path, captions: [...captions] }))
}

/** The names of the classes; null where the captions tell pictures apart. */
export function classNamesOf(pictures: readonly OwnPicture[], areClasses = false): readonly string[] | null {
  const names = [...new Set(pictures.map(({ captions }) => captions[0]!))].sort()
  const repeat =
    pictures.every(({ captions }) => captions.length === 1) && names.length * picturesPerClass <= pictures.length
  return areClasses || repeat ? names : null
}

function checkPictures(
  source: string,
  found: number,
  { length }: readonly OwnPicture[],
  names: readonly string[] | null,
): void {
  if (length < fewestPictures) {
    const without = found > length ? `${length} pictures with a caption, of ${found}` : `${length} pictures`
    throw new UserError(
      `${source} has ${without}; fine-tuning takes at least ${fewestPictures}`,
      "write a caption for each picture: a .txt file beside it, the name of its folder, or a column of a list",
    )
  }
  if (names?.length !== 1) return
  throw new UserError(
    `${source}: all pictures are "${names[0]!}", and nothing can be learned from one class`,
    "add pictures of something else, with a folder for each class",
  )
}
