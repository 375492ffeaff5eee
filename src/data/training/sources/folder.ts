/**
 * Pictures in a folder: with captions beside them (`x.jpg` and `x.txt`, one caption per line), or in class folders, whose
 * names are filled into templates.
 */
import { join, sep } from "node:path"
import { UserError } from "../../../core/errors.ts"
import { fillTemplate } from "../../../core/text/prompts.ts"
import { requirePictures } from "../../../host/image/image-files.ts"
import { walkPictures } from "../../../host/image/picture-folder.ts"
import type { SampleList, SampleLocation } from "./location.ts"
import { captionedNote, requireTrain, splitsNote, splitsOf } from "./splits.ts"

/**
 * The pictures below the folder, in order of their paths; of class folders in the parts `train/` and `val/`, those to train on. Throws
 * UserError where nothing says what they show.
 */
export async function listFolder(folder: string, templates: readonly string[]): Promise<SampleList> {
  const { pictures, others, notes, unread } = await walkPictures(folder)
  requirePictures(folder, pictures, notes)
  if (pictures.some((name) => others.has(captionFile(name)))) {
    const note = captionedNote(folder, pictures)
    const list = listOf(folder, pictures, besideOf(folder, others))
    return { ...list, unread, notes: note === null ? notes : [...notes, note] }
  }
  const splits = splitsOf(pictures)
  if (!splits) return { ...classList(folder, pictures, templates), unread, notes }
  const part = (name: string) => classList(join(folder, name), below(name, pictures), templates)
  const train = requireTrain(folder, splits)
  return {
    ...part(train),
    unread,
    notes: [...notes, splitsNote(folder, splits, `${train}${sep} is trained on`)],
    ...(splits.heldOut !== null && { heldOut: { name: splits.heldOut, samples: part(splits.heldOut) } }),
  }
}

type Captions = Extract<SampleLocation, { kind: "file" }>["captions"]

function listOf(folder: string, pictures: readonly string[], captionsOf: (name: string) => Captions): SampleList {
  return {
    count: pictures.length,
    location: (index): SampleLocation => {
      const name = pictures[index]!
      return { kind: "file", path: join(folder, name), captions: captionsOf(name) }
    },
  }
}

function classList(folder: string, pictures: readonly string[], templates: readonly string[]): SampleList {
  return listOf(folder, pictures, classOf(folder, pictures, templates))
}

/** Paths in a folder, of those that are in it. */
function below(name: string, paths: readonly string[]): string[] {
  const start = name + sep
  return paths.filter((path) => path.startsWith(start)).map((path) => path.slice(start.length))
}

function captionFile(name: string): string {
  return name.replace(/\.[^.]+$/, ".txt")
}

function besideOf(folder: string, others: ReadonlySet<string>) {
  return (name: string) => (others.has(captionFile(name)) ? { file: join(folder, captionFile(name)) } : [])
}

/** The class is the first folder on the way to the picture. */
function classOf(folder: string, pictures: readonly string[], templates: readonly string[]) {
  const loose = pictures.find((name) => !name.includes(sep))
  if (loose !== undefined) {
    throw new UserError(
      `${join(folder, loose)} has no caption: neither ${captionFile(loose)} beside it, nor is it in the folder of a class`,
      "write a .txt file beside each picture, or put the pictures into a folder for each class; pictures alone become shards by `mobileclip shards --no-captions`",
    )
  }
  const known = new Map<string, readonly string[]>()
  return (name: string): readonly string[] => {
    const label = name.slice(0, name.indexOf(sep))
    const captions = known.get(label) ?? templates.map((template) => fillTemplate(template, labelText(label)))
    known.set(label, captions)
    return captions
  }
}

/** A folder's name as words: `hot_dog` is "hot dog". */
function labelText(folder: string): string {
  return folder.replaceAll("_", " ").trim()
}
