/**
 * Task lists for zero-shot evaluation along the way: a folder of class folders (one task), the test split of the scenes
 * dataset (its tasks), or a JSON file `[{"name", "images": FOLDER, "classNames"?, "templates"?}]`, paths relative to it.
 */
import { existsSync, statSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { basename, dirname, join, resolve, sep } from "node:path"
import { z } from "zod"
import { UserError } from "../core/errors.ts"
import type { Image8 } from "../core/image/pixels.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import { mapOrdered } from "../core/parallel.ts"
import { alikeLabels } from "../core/text/alike-labels.ts"
import { defaultTemplates } from "../core/text/prompts.ts"
import { chanceOf, TASKS } from "../data/scenes/tasks.ts"
import { type Splits, splitsNote, splitsOf } from "../data/training/sources/splits.ts"
import { readJson } from "../host/files/files.ts"
import { requirePictures } from "../host/image/image-files.ts"
import { decodeImage } from "../host/image/images.ts"
import { walkPictures } from "../host/image/picture-folder.ts"
import { usableProcessors } from "../host/processors.ts"
import { defaultRoom, KeptPictures, type PictureRoom } from "./kept-pictures.ts"
import { accuracyAt } from "./metrics/classification.ts"
import { type Scene, scenesIn, scoreDecoded } from "./scenes.ts"
import { classify } from "./tasks.ts"

/** Results by task, 0 to 1. */
export type Scores = Readonly<Record<string, number>>

export interface TaskList {
  /** Accuracy of guessing, by task. */
  readonly chance: Readonly<Record<string, number>>
  /** A line for what was passed over in a folder, and for each group of classes that no model can tell apart. */
  readonly notes: readonly string[]
  score(encoder: Encoder): Promise<Scores>
}

const listSchema = z
  .array(
    z.strictObject({
      name: z.string().min(1),
      images: z.string().min(1),
      /** Names of the classes, in the order of the folders' names; default: the folders' names. */
      classNames: z.array(z.string()).optional(),
      templates: z.array(z.string().includes("{}")).min(1).optional(),
    }),
  )
  .min(1)

type Entry = z.output<typeof listSchema>[number]

/** Throws UserError where the list, or pictures in it, are missing. */
export async function openTasks(path: string): Promise<TaskList> {
  const room = defaultRoom()
  const taskOf = (entry: Entry) => folderTask(entry, room)
  if (path.endsWith(".json")) return joined(await Promise.all((await readList(path)).map(taskOf)))
  if (!existsSync(path)) throw new UserError(`${path}: there is no such task list`, expected)
  if (!statSync(path).isDirectory()) throw new UserError(`${path} is not a task list`, expected)
  const isScenes = (await readdir(path)).some((name) => /^[^.].*\.tar$/.test(name))
  return isScenes ? scenesTasks(path, room) : joined([await taskOf({ name: basename(resolve(path)), images: path })])
}

const expected = "give a folder of class folders, the test folder of `mobileclip render`, or a JSON list of tasks"

async function readList(path: string): Promise<Entry[]> {
  const parsed = listSchema.safeParse(await readJson(path, "a list of tasks"))
  if (!parsed.success) {
    const { path: at, message } = parsed.error.issues[0]!
    throw new UserError(`${path}: ${at.join(".") || "the list"}: ${message}`, expected)
  }
  return parsed.data.map((entry) => ({ ...entry, images: resolve(dirname(path), entry.images) }))
}

interface OneTask {
  readonly name: string
  readonly chance: number
  readonly notes: readonly string[]
  accuracy(encoder: Encoder): Promise<number>
}

async function folderTask(entry: Entry, room: PictureRoom): Promise<OneTask> {
  const { name, images: folder, classNames, templates } = entry
  const { folders: classes, pictures, notes } = await walkPictures(folder)
  const splits = splitsOf(pictures)
  if (splits) return partTask(entry, splits, room)
  if (classes.length < 2)
    throw new UserError(`${folder} has ${classes.length} class folders, and at least two are needed`, expected)
  if (classNames && classNames.length !== classes.length) {
    throw new UserError(`${name}: ${classNames.length} class names for ${classes.length} folders in ${folder}`)
  }
  const byClass = byTopFolder(pictures)
  const files = classes.flatMap((name, label) => {
    const own = byClass.get(name) ?? []
    requirePictures(join(folder, name), own, notes)
    return own.map((path) => ({ file: join(folder, path), label }))
  })
  const task = {
    name,
    classNames: classNames ?? classes.map((each) => each.replaceAll("_", " ")),
    templates: templates ?? defaultTemplates,
    labels: files.map(({ label }) => label),
  }
  const images = new KeptPictures(room, (from) => decoded(files.slice(from)))
  return {
    name,
    chance: 1 / classes.length,
    notes: [...notes, ...alikeLabels(task.classNames, task.templates).map((line) => `${name}: ${line}`)],
    async accuracy(encoder) {
      return accuracyAt(await classify(encoder, task, images.all()), 1)
    },
  }
}

/** Paths by the folder that they begin with, in their order. */
function byTopFolder(paths: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>()
  for (const path of paths) {
    const name = path.slice(0, path.indexOf(sep))
    const own = found.get(name)
    if (own) own.push(path)
    else found.set(name, [path])
  }
  return found
}

/** The task of the part that training does not see; of the only part where there is one. */
async function partTask(entry: Entry, splits: Splits, room: PictureRoom): Promise<OneTask> {
  const part = splits.heldOut ?? splits.names[0]!
  const task = await folderTask({ ...entry, images: join(entry.images, part) }, room)
  return { ...task, notes: [splitsNote(entry.images, splits, `${part}${sep} is the task`), ...task.notes] }
}

function decoded(files: readonly { readonly file: string }[]): AsyncGenerator<Image8> {
  return mapOrdered(files, decodedAhead(), async ({ file }) => decodeImage(file))
}

function decodedAhead(): number {
  return 2 * usableProcessors().count
}

function joined(tasks: readonly OneTask[]): TaskList {
  return {
    chance: Object.fromEntries(tasks.map(({ name, chance }) => [name, chance])),
    notes: tasks.flatMap(({ notes }) => notes),
    async score(encoder) {
      const scores: Record<string, number> = {}
      for (const task of tasks) scores[task.name] = await task.accuracy(encoder)
      return scores
    },
  }
}

async function scenesTasks(folder: string, room: PictureRoom): Promise<TaskList> {
  const scenes: Pick<Scene, "record">[] = []
  for await (const { record } of scenesIn(folder)) scenes.push({ record })
  const images = new KeptPictures(room, (from) => scenePictures(folder, from))
  // A damaged picture is an error now, and not at the first evaluation.
  for await (const _ of images.all());
  return {
    chance: Object.fromEntries(TASKS.map((task) => [task.name, chanceOf(task)])),
    notes: [],
    async score(encoder) {
      const results = await scoreDecoded(encoder, scenes, images.all())
      return Object.fromEntries(results.map(({ name, accuracy }) => [name, accuracy]))
    },
  }
}

/** Pictures from this place on. The shards are read again, because they may be larger than the memory. */
function scenePictures(folder: string, from: number): AsyncGenerator<Image8> {
  return mapOrdered(jpegsFrom(folder, from), decodedAhead(), (jpeg) => decodeImage(jpeg))
}

async function* jpegsFrom(folder: string, from: number): AsyncGenerator<Uint8Array> {
  let place = 0
  for await (const { jpeg } of scenesIn(folder)) if (place++ >= from) yield jpeg
}
