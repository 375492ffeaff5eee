/** Pictures and captions that a file lists: paths relative to its folder, and JSONL with one object per line. */
import { dirname, resolve } from "node:path"
import { messageOf, quoted, UserError } from "../../../core/errors.ts"
import { isMissing, isObject } from "../../../core/json.ts"
import { parseExactJson } from "../../json-text.ts"
import { decodeLine, longestLine } from "../../reinforced/jsonl/lines.ts"
import { textList } from "../../reinforced/tar/members.ts"
import { pathOf } from "../../stores/local.ts"
import { isUrl } from "../../stores/open.ts"
import { FlatObject } from "./lists/flat-object.ts"
import { type OpenOptions, openIndexed } from "./lists/indexed-list.ts"
import { pathIn } from "./lists/list-paths.ts"
import type { ListKind, Pair, RowFormat, Spans } from "./lists/row-format.ts"
import type { SampleList, SampleLocation } from "./location.ts"

export type { Pair }

/** A list that is in memory. Paths are relative to the folder of the file at `path`. */
export function listPairs(path: string, pairs: readonly Pair[]): SampleList {
  const folder = resolve(dirname(path))
  return {
    count: pairs.length,
    location: (index): SampleLocation => {
      const { image, captions } = pairs[index]!
      return { kind: "file", path: pathIn(folder, image), captions }
    },
  }
}

interface JsonlOptions extends OpenOptions {
  readonly imageColumn?: string
  readonly captionColumn?: string
}

/** Names that are looked for where none is given, in this order. */
const imageNames = ["image", "image_path", "filepath", "path", "file_name", "file"]
const captionNames = ["caption", "captions", "text", "texts", "title"]

/** Throws UserError naming the line that has no path or no caption. */
export function listJsonl(path: string, options: JsonlOptions): Promise<SampleList> {
  return openIndexed(path, jsonlKind(path, options), options)
}

/** @param path for messages */
export function jsonlKind(path: string, options: JsonlOptions): ListKind {
  return {
    name: `jsonl ${JSON.stringify([options.imageColumn, options.captionColumn])}`,
    open: () => new JsonlRows(path, options),
    empty: () => new UserError(`${path} has no lines`, "JSON objects were expected, one a line"),
    notUtf8: (line) => notUtf8(`${path}, line ${line}`),
  }
}

function notUtf8(where: string): UserError {
  return new UserError(`${where}: it is not UTF-8`, "write it again, in UTF-8")
}

const newline = 0x0a

class JsonlRows implements RowFormat {
  readonly dialect = null
  private bytes: Buffer = Buffer.alloc(0)
  private start = 0
  private end = 0
  private row = 0
  private found: Spans | null = null
  private parsed: Readonly<Record<string, unknown>> | null = null
  private readonly flat: FlatObject

  constructor(
    private readonly path: string,
    private readonly options: JsonlOptions,
  ) {
    const { imageColumn, captionColumn } = options
    const images = imageColumn === undefined ? imageNames : [imageColumn]
    this.flat = new FlatObject(images, captionColumn === undefined ? captionNames : [captionColumn])
  }

  next(bytes: Buffer, start: number, isLast: boolean): number {
    const lineEnd = bytes.indexOf(newline, start)
    if (lineEnd < 0 && !isLast) return -1
    ;[this.bytes, this.start, this.end] = [bytes, start, lineEnd < 0 ? bytes.length : lineEnd]
    return lineEnd < 0 ? bytes.length : lineEnd + 1
  }

  lists(row: number): boolean {
    ;[this.row, this.parsed] = [row, null]
    this.found = this.flat.find(this.bytes, this.start, this.end)
    if (this.found) return true
    const text = this.text()
    if (text.trim() === "") return false
    this.parsed = parseObject(text, this.where)
    return true
  }

  spans(): Spans | null {
    return this.found
  }

  pair(): Pair {
    if (!this.found) return pairOf(this.record, this.where, this.options)
    const { imageStart, imageEnd, captionStart, captionEnd } = this.found
    const image = this.bytes.toString("utf8", imageStart, imageEnd)
    return { image: picturePath(image, this.where), captions: [this.bytes.toString("utf8", captionStart, captionEnd)] }
  }

  fields(): Record<string, unknown> {
    return fieldsOf(this.record, this.options)
  }

  checkRest(bytes: Buffer, start: number, row: number): void {
    const length = bytes.length - start
    if (length <= longestLine) return
    const problem = `its ${length} bytes or more are more than a line may have`
    throw new UserError(`${this.path}, line ${row}: ${problem}`, "write it again, in UTF-8")
  }

  private get record(): Readonly<Record<string, unknown>> {
    this.parsed ??= parseObject(this.text(), this.where)
    return this.parsed
  }

  private text(): string {
    const text = decodeLine(this.bytes.subarray(this.start, this.end))
    if (text === null) throw notUtf8(this.where)
    return text
  }

  private get where(): string {
    return `${this.path}, line ${this.row}`
  }
}

/** The path of a picture in a line's object; null where there is none, as in a reinforced shard. */
export function imagePathOf(record: Readonly<Record<string, unknown>>): string | null {
  const value = imageNames.map((name) => record[name]).find((found) => typeof found === "string")
  if (typeof value === "string" && isUrl(value)) return value
  return typeof value === "string" &&
    /^[^\n]{1,4096}\.(jpe?g|jpe|jfif|png|webp|avif|hei[cf]|hif|tiff?|gif|bmp)$/i.test(value)
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
