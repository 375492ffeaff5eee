/**
 * Pictures in a folder: with captions beside them (`x.jpg` and `x.txt`, a caption a line), or in class folders, whose
 * names are filled into templates.
 */
import { readdir } from "node:fs/promises"
import { join, sep } from "node:path"
import { UserError } from "../../core/errors.ts"
import { fillTemplate } from "../../core/prompts.ts"
import { fileError } from "../../host/file-error.ts"
import type { Place, SampleList } from "./place.ts"

const pictureName = /\.(jpe?g|png|webp|avif|tiff?|gif)$/i

/** The pictures below the folder, in order of their paths. Throws UserError where nothing says what they show. */
export async function listFolder(folder: string, templates: readonly string[]): Promise<SampleList> {
  const names = await namesIn(folder)
  const pictures = names.filter((name) => pictureName.test(name)).sort()
  if (pictures.length === 0)
    throw new UserError(`${folder} holds no pictures`, "JPEG, PNG, WebP, AVIF, TIFF and GIF are")
  const others = new Set(names)
  const hasCaptions = pictures.some((name) => others.has(captionFile(name)))
  const captionsOf = hasCaptions ? besideOf(folder) : classOf(folder, pictures, templates)
  return {
    count: pictures.length,
    place: (index): Place => {
      const name = pictures[index]!
      return { kind: "file", path: join(folder, name), captions: captionsOf(name) }
    },
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder, { recursive: true })).filter((name) => !/(^|[/\\])\./.test(name))
  } catch (error) {
    throw fileError(error, "reading", folder)
  }
}

function captionFile(name: string): string {
  return name.replace(/\.[^.]+$/, ".txt")
}

function besideOf(folder: string) {
  return (name: string) => ({ file: join(folder, captionFile(name)) })
}

/** The class is the first folder on the way to the picture. */
function classOf(folder: string, pictures: readonly string[], templates: readonly string[]) {
  const loose = pictures.find((name) => !name.includes(sep))
  if (loose !== undefined) {
    throw new UserError(
      `${join(folder, loose)} has no caption: neither ${captionFile(loose)} beside it, nor is it in the folder of a class`,
      "write a .txt file beside each picture, or put the pictures into a folder for each class",
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

/** A folder's name as it is said: `hot_dog` is "hot dog". */
function labelText(folder: string): string {
  return folder.replaceAll("_", " ").trim()
}
