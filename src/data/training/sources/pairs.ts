/** Pictures and captions that a file lists: paths relative to its folder, and JSONL with one object per line. */
import { existsSync } from "node:fs"
import { dirname, resolve, sep } from "node:path"
import { messageOf, quoted, UserError } from "../../../core/errors.ts"
import { isMissing, isObject } from "../../../core/json.ts"
import { formatExactJson, parseExactJson } from "../../json-text.ts"
import { readLines } from "../../reinforced/jsonl/lines.ts"
import { textList } from "../../reinforced/tar/members.ts"
import { pathOf } from "../../stores/local.ts"
import { isUrl } from "../../stores/open.ts"
import type { SampleList, SampleLocation } from "./location.ts"

export interface Pair {
  readonly image: string
  readonly captions: readonly string[]
}

export function listPairs(path: string, pairs: readonly Pair[]): SampleList {
  return listTable(path, { count: pairs.length, at: (index) => pairs[index]! })
}

/** Paths are relative to the folder of the file at `path`. */
export function listTable(path: string, table: { readonly count: number; at(index: number): Pair }): SampleList {
  const folder = resolve(dirname(path))
  const isWindows = table.count > 0 && hasWindowsPaths(folder, table.at(0).image)
  return {
    count: table.count,
    notes: isWindows ? [`${path}: its paths have \\ between folders, which is read as /`] : [],
    location: (index): SampleLocation => {
      const { image, captions } = table.at(index)
      return { kind: "file", path: pathIn(folder, isWindows ? image.replaceAll("\\", "/") : image), captions }
    },
  }
}

/** Whether a list was written on Windows: here, a file may have `\` in its name. */
function hasWindowsPaths(folder: string, image: string): boolean {
  if (sep === "\\" || !image.includes("\\") || existsSync(pathIn(folder, image))) return false
  return existsSync(pathIn(folder, image.replaceAll("\\", "/")))
}

/** An absolute path, or one with an empty, "." or ".." step; on Windows also one with its separator or a drive. */
const oddPath = /(^|\/)\.{0,2}(\/|$)|[\\:]/

/** The same path as `resolve` gives, which takes long for each of millions. */
function pathIn(folder: string, image: string): string {
  return oddPath.test(image) || folder.endsWith(sep) ? resolve(folder, image) : `${folder}${sep}${image}`
}

interface JsonlOptions {
  readonly imageColumn?: string
  readonly captionColumn?: string
  readonly fields?: boolean
}

/** Names that are looked for where none is given, in this order. */
const imageNames = ["image", "image_path", "filepath", "path", "file_name", "file"]
const captionNames = ["caption", "captions", "text", "texts", "title"]

/** Throws UserError naming the line that has no path or no caption. */
export async function listJsonl(path: string, options: JsonlOptions): Promise<SampleList> {
  const pairs: Pair[] = []
  const others: string[] = []
  for await (const line of readLines(path, "none")) {
    const where = `${path}, line ${line.number}`
    if (line.text === null) throw new UserError(`${where}: ${line.problem}`, "write it again, in UTF-8")
    if (line.text.trim() === "") continue
    const record = parseObject(line.text, where)
    pairs.push(pairOf(record, where, options))
    if (options.fields) others.push(formatExactJson(fieldsOf(record, options)))
  }
  if (pairs.length === 0) throw new UserError(`${path} has no lines`, "JSON objects were expected, one a line")
  const list = listPairs(path, pairs)
  return options.fields
    ? { ...list, fields: (index) => parseExactJson(others[index]!) as Readonly<Record<string, unknown>> }
    : list
}

/** The path of a picture in a line's object; null where there is none, as in a reinforced shard. */
export function imagePathOf(record: Readonly<Record<string, unknown>>): string | null {
  const value = imageNames.map((name) => record[name]).find((found) => typeof found === "string")
  if (typeof value === "string" && isUrl(value)) return value
  return typeof value === "string" && /^[^\n]{1,4096}\.(jpe?g|jpe|jfif|png|webp|avif|tiff?|gif|bmp)$/i.test(value)
    ? value
    : null
}

function pairOf(record: Readonly<Record<string, unknown>>, where: string, options: JsonlOptions): Pair {
  const image = fieldOf(record, options.imageColumn, imageNames)
  if (typeof image !== "string") throw lacking(where, "picture's path", options.imageColumn, imageNames)
  const captions = captionsOf(fieldOf(record, options.captionColumn, captionNames))
  if (!captions) throw lacking(where, "caption", options.captionColumn, captionNames)
  return { image: picturePath(image, where), captions }
}

/** None where the text is null, as in an empty cell of a table: the picture counts as one without a caption. */
function captionsOf(value: unknown): readonly string[] | null {
  if (value === undefined || isMissing(value)) return value === undefined ? null : []
  return textList(Array.isArray(value) ? value.filter((text) => !isMissing(text)) : value)
}

/**
 * The path of a picture that a list names, where a URL of a file is one.
 *
 * @param where the list and the row, for the error
 */
export function picturePath(image: string, where: string): string {
  if (!isUrl(image)) return image
  if (/^file:/i.test(image)) return pathOf(image)
  throw new UserError(
    `${where} names ${quoted(image)}, and pictures of a list are read from this machine`,
    "download them first, for example with img2dataset, whose shards can be trained on",
  )
}

function fieldsOf(record: Readonly<Record<string, unknown>>, options: JsonlOptions): Record<string, unknown> {
  const image = options.imageColumn ?? imageNames.find((name) => record[name] !== undefined)!
  const caption = options.captionColumn ?? captionNames.find((name) => record[name] !== undefined)!
  const { [image]: path, [caption]: _, ...rest } = record
  return { path, ...rest }
}

function fieldOf(
  record: Readonly<Record<string, unknown>>,
  name: string | undefined,
  usual: readonly string[],
): unknown {
  if (name !== undefined) return record[name]
  const values = usual.map((candidate) => record[candidate]).filter((value) => value !== undefined)
  return values.find((value) => !isMissing(value)) ?? values[0]
}

function lacking(where: string, what: string, name: string | undefined, usual: readonly string[]): UserError {
  const expected = name === undefined ? `one of ${usual.join(", ")}` : quoted(name)
  return new UserError(
    `${where} has no ${what}: ${expected} was expected`,
    "--csv-img-key and --csv-caption-key name them (finetune: --image-column, --caption-column)",
  )
}

function parseObject(text: string, where: string): Readonly<Record<string, unknown>> {
  try {
    const value = parseExactJson(text)
    if (isObject(value)) return value
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${where}: ${error.message}`)
    throw new UserError(`${where} is not JSON (${messageOf(error).replaceAll(/\s+/g, " ")})`)
  }
  throw new UserError(`${where} is not a JSON object`)
}
