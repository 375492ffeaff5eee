/**
 * The pictures that a user has: with captions, or with the names of classes. Folders of classes are; so are captions of a
 * list that come again and again, for then they do not tell one picture from another.
 */
import { UserError } from "../core/errors.ts"
import { defaultTemplates } from "../core/text/prompts.ts"
import { mapOrdered } from "../data/parallel.ts"
import { readCaptions } from "../data/training/sources/captions.ts"
import type { SampleLocation } from "../data/training/sources/location.ts"
import { type ListOptions, openList } from "../data/training/sources/open-source.ts"
import { detectFormat } from "../data/training/sources/source.ts"

export interface OwnPicture {
  readonly path: string
  /** At least one. Of a class: its name alone. */
  readonly captions: readonly string[]
}

export interface OwnPictures {
  readonly pictures: readonly OwnPicture[]
  /** Null where pictures have captions of their own. */
  readonly classes: Classes | null
  /** Pictures left out because they have no caption. */
  readonly withoutCaption: number
  /** What was passed over among the files, a line each. */
  readonly notes: readonly string[]
}

export interface Classes {
  /** In order of their names. */
  readonly names: readonly string[]
  /** Prompts, `{}` is the name. */
  readonly templates: readonly string[]
}

export interface OwnPicturesOptions extends Omit<ListOptions, "templates"> {
  /** Of class names. Default: "a photo of a {}." for folders, and the name as it stands for lists. */
  readonly templates?: readonly string[]
}

/** Fewer would neither train nor tell whether it helped. */
const fewestPictures = 10

/** Caption files that are open together; a system allows a few thousand or less. */
const filesAtOnce = 64

/** Pictures that share a caption, on average, from which on captions are taken for names of classes. */
const picturesPerClass = 4

/** Throws UserError where there are too few pictures, no captions, or one class only. */
export async function readOwnPictures(source: string, options: OwnPicturesOptions = {}): Promise<OwnPictures> {
  const format = await detectFormat(source)
  if (format === "shards" || format === "reinforced") {
    throw new UserError(
      `${source} holds shards; a folder of pictures, a CSV or a JSONL file was expected`,
      "`mobileclip train` trains on shards",
    )
  }
  const list = await openList(source, format, { ...options, templates: ["{}"] })
  const found: OwnPicture[] = []
  for await (const picture of mapOrdered(Array(list.count).keys(), filesAtOnce, (i) => pictureAt(list.location(i)))) {
    found.push(picture)
  }
  const pictures = joined(found.filter(({ captions }) => captions.length > 0))
  const names = classNamesOf(pictures, format === "folder" && isGiven(list.location(0)))
  checkPictures(source, found.length, pictures, names)
  const templates = options.templates ?? (format === "folder" ? defaultTemplates : ["{}"])
  return {
    pictures,
    classes: names && { names, templates },
    notes: list.notes ?? [],
    withoutCaption: found.filter(({ captions }) => captions.length === 0).length,
  }
}

/** The class of a picture, by its place among the names. */
export function classOf({ captions }: OwnPicture, { names }: Classes): number {
  return names.indexOf(captions[0]!)
}

/** A caption that is given, not read from a file beside the picture, is the folder's name. */
function isGiven(location: SampleLocation): boolean {
  return location.kind === "file" && !("file" in location.captions)
}

async function pictureAt(location: SampleLocation): Promise<OwnPicture> {
  if (location.kind !== "file") throw new Error(`a list names files, not a ${location.kind}`)
  return { path: location.path, captions: await readCaptions(location.captions) }
}

/** A picture may stand in several rows of a list, with a caption in each: it must not be on both sides of a split. */
export function joined(pictures: readonly OwnPicture[]): OwnPicture[] {
  const byPath = new Map<string, readonly string[]>()
  for (const { path, captions } of pictures) {
    byPath.set(path, [...new Set([...(byPath.get(path) ?? []), ...captions])])
  }
  return [...byPath].map(([path, captions]) => ({ path, captions }))
}

/** Null where pictures are told apart by their captions. */
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
    "put pictures of something else beside them: a folder for each class",
  )
}
