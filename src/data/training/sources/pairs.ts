/** Pictures and captions that a file lists: paths relative to its folder, and JSONL with one object per line. */
import { dirname, resolve, sep } from "node:path"
import { messageOf, quoted, UserError } from "../../../core/errors.ts"
import { isObject } from "../../../core/json.ts"
import { parseJsonText } from "../../json-text.ts"
import { readLines } from "../../reinforced/jsonl/lines.ts"
import { textList } from "../../reinforced/tar/members.ts"
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
  return {
    count: table.count,
    location: (index): SampleLocation => {
      const { image, captions } = table.at(index)
      return { kind: "file", path: pathIn(folder, image), captions }
    },
  }
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
  for await (const { number, bytes, text } of readLines(path, "none")) {
    if (text?.trim() === "") continue
    if (text === null) throw new UserError(`${path}, line ${number}: its ${bytes} bytes are more than a line may have`)
    const record = parseObject(text, `${path}, line ${number}`)
    pairs.push(pairOf(record, `${path}, line ${number}`, options))
    if (options.fields) others.push(JSON.stringify(fieldsOf(record, options)))
  }
  if (pairs.length === 0) throw new UserError(`${path} has no lines`, "JSON objects were expected, one a line")
  const list = listPairs(path, pairs)
  return options.fields ? { ...list, fields: (index) => JSON.parse(others[index]!) } : list
}

/** The path of a picture in a line's object; null where there is none, as in a reinforced shard. */
export function imagePathOf(record: Readonly<Record<string, unknown>>): string | null {
  const value = imageNames.map((name) => record[name]).find((found) => typeof found === "string")
  return typeof value === "string" && /^[^\n]{1,4096}\.(jpe?g|jpe|jfif|png|webp|avif|tiff?|gif|bmp)$/i.test(value)
    ? value
    : null
}

function pairOf(record: Readonly<Record<string, unknown>>, where: string, options: JsonlOptions): Pair {
  const image = fieldOf(record, options.imageColumn, imageNames)
  if (typeof image !== "string") throw lacking(where, "picture's path", options.imageColumn, imageNames)
  const captions = textList(fieldOf(record, options.captionColumn, captionNames))
  if (!captions) throw lacking(where, "caption", options.captionColumn, captionNames)
  return { image, captions }
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
  return usual.map((candidate) => record[candidate]).find((value) => value !== undefined)
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
    const value = parseJsonText(text)
    if (isObject(value)) return value
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${where}: ${error.message}`)
    throw new UserError(`${where} is not JSON (${messageOf(error).replaceAll(/\s+/g, " ")})`)
  }
  throw new UserError(`${where} is not a JSON object`)
}
