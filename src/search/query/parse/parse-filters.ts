/** The values of filter options to filters. What may mean two things is refused. Nothing is looked up: a folder may be gone. */
import { resolve } from "node:path"
import { quoted, UserError } from "../../../core/errors.ts"
import { nearestNames } from "../../../core/nearest.ts"
import { alternatives } from "../../../host/files/glob.ts"
import {
  type Filters,
  mostKilometers,
  mostValues,
  type Near,
  type Shape,
  type SizeBound,
  shapes,
  type TimeRange,
} from "../filters.ts"
import { parseTime } from "./parse-time.ts"

/** As a command line has them; several values of a list are alternatives, but sizes all hold. */
export interface FilterWords {
  /** Taken at this time or later, earlier than it, or within it. */
  readonly after?: string
  readonly before?: string
  readonly date?: string
  /** Folders, relative to the current one. */
  readonly in?: readonly string[]
  /** Patterns of file names: "IMG_2*", "*.{jpg,heic}". */
  readonly name?: readonly string[]
  /** "2MP", "1000x800" or "1MB". */
  readonly larger?: readonly string[]
  readonly smaller?: readonly string[]
  /** Separated by commas. */
  readonly orientation?: string
  readonly format?: string
  readonly camera?: readonly string[]
  /** "LAT,LON" or "LAT,LON,KM". */
  readonly near?: string
}

interface Surroundings {
  readonly now: Date
  readonly folder: string
}

/** Throws UserError that names the option, its value and what was expected. */
export function parseFilters(
  words: FilterWords,
  { now, folder }: Surroundings = { now: new Date(), folder: process.cwd() },
): Filters {
  requireFew(words)
  const taken = timeRange(words, now)
  const sizes = [...sizeBounds("larger", words.larger), ...sizeBounds("smaller", words.smaller)]
  return {
    ...(taken && { taken }),
    ...(words.in?.length && { folders: words.in.map((path) => folderPath(path, folder)) }),
    ...(words.name?.length && { names: words.name.flatMap(namePatterns) }),
    ...(sizes.length > 0 && { sizes }),
    ...(words.orientation !== undefined && { shapes: shapesOf(words.orientation) }),
    ...(words.camera?.length && { cameras: words.camera.map(cameraPart) }),
    ...(words.near !== undefined && { near: placeOf(words.near) }),
    ...(words.format !== undefined && { formats: formatsOf(words.format) }),
  }
}

/** With the patterns that a name's braces stand for. */
function requireFew(words: FilterWords): void {
  const counts = Object.entries(words).flatMap(([name, values]) =>
    Array.isArray(values) ? [{ name, count: name === "name" ? sumOf(values.map(alternativesOf)) : values.length }] : [],
  )
  for (const { name, count } of counts)
    if (count > mostValues)
      throw new UserError(`--${name} stands for ${count} values, more than ${mostValues}`, "search several times")
}

/** How many patterns the braces of a name stand for, at most: their choices multiply. */
function alternativesOf(pattern: string): number {
  const open: number[] = []
  let product = 1
  for (const letter of pattern)
    if (letter === "{") open.push(1)
    else if (letter === "," && open.length > 0) open[open.length - 1]!++
    else if (letter === "}") product *= open.pop() ?? 1
  return product
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

// ------------------------------------------------------------------------------------------------------ time

function timeRange({ after, before, date }: FilterWords, now: Date): TimeRange | null {
  if (after === undefined && before === undefined && date === undefined) return null
  const within = date === undefined ? null : wholeTime(date, now)
  const startOf = (text: string | undefined, option: string) =>
    text === undefined ? undefined : parseTime(text, option, now).start
  const starts = [within?.start, startOf(after, "--after")].filter((time) => time !== undefined)
  const ends = [within?.end, startOf(before, "--before")].filter((time) => time !== undefined)
  // Times of one form compare as texts.
  const [from = null, until = null] = [starts.sort().at(-1), ends.sort()[0]]
  if (from === null || until === null || from < until) return { from, until }
  const given = Object.entries({ after, before, date }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name} ${quoted(value)}`],
  )
  throw new UserError(
    `no time is within ${given.join(" and ")}`,
    "--after includes its time, --before ends at its begin",
  )
}

function wholeTime(date: string, now: Date) {
  const span = parseTime(date, "--date", now)
  if (span.isExact) return span
  throw new UserError(
    `--date ${quoted(date)} may be a day, or all of that week, month or year`,
    `write --date ${span.start.slice(0, 10)}, --date ${span.start.slice(0, 7)}, or --after ${quoted(date)}`,
  )
}

// ------------------------------------------------------------------------------------------------------ files

function folderPath(path: string, folder: string): string {
  if (path.trim() === "") throw new UserError("--in names no folder", "write --in photos/2023")
  return resolve(folder, path)
}

/** One for each choice in braces. */
function namePatterns(pattern: string): string[] {
  if (pattern === "") throw new UserError("--name holds no pattern", "write --name 'IMG_2*'")
  if (/[\\/]/.test(pattern))
    throw new UserError(
      `--name ${quoted(pattern)} has a separator, and it is compared with the file's name alone`,
      "write --in FOLDER for the folder",
    )
  return alternatives(pattern).map((each) => each.replaceAll("[!", "[^").replaceAll(/[A-Z]/g, (a) => a.toLowerCase()))
}

const formats: Readonly<Record<string, string>> = {
  ...{ jpg: "jpg", jpeg: "jpg", png: "png", webp: "webp", avif: "avif", tif: "tif", tiff: "tif", gif: "gif" },
  ...{ heic: "heic", heif: "heic" },
}

function formatsOf(list: string): string[] {
  return [...new Set(choicesOf(list, "--format", Object.keys(formats), "a format").map((name) => formats[name]!))]
}

// ------------------------------------------------------------------------------------------------------ the picture

function shapesOf(list: string): Shape[] {
  return choicesOf(list, "--orientation", shapes, "an orientation") as Shape[]
}

function choicesOf(list: string, option: string, choices: readonly string[], what: string): string[] {
  return list.split(",").map((word) => {
    const name = word.trim().toLowerCase().replace(/^\./, "")
    if (choices.includes(name)) return name
    const nearest = name === "" ? choices : nearestNames(name, choices, 1)
    throw new UserError(
      `${option}: ${quoted(word)} is not ${what}`,
      `perhaps ${nearest.join(", ")}; there are ${choices.join(", ")}`,
    )
  })
}

const byteUnits: Readonly<Record<string, number>> = {
  ...{ kb: 1e3, mb: 1e6, gb: 1e9 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30 },
}

function sizeBounds(than: SizeBound["than"], values: readonly string[] = []): SizeBound[] {
  return values.map((value) => ({ than, ...sizeOf(value, than) }))
}

function sizeOf(value: string, than: SizeBound["than"]) {
  const text = value.trim().toLowerCase().replaceAll(/\s+/g, "")
  const [, width, height] = /^(\d+)[x×](\d+)$/.exec(text) ?? []
  if (height !== undefined)
    return sidesOf(requireSize(Number(width), value, than), requireSize(Number(height), value, than))
  const [, count, unit] = /^(\d+(?:\.\d+)?)(mp|[kmg]i?b)$/.exec(text) ?? []
  if (unit === undefined) throw new UserError(`--${than} ${quoted(value)} is not a size`, sizeHint(text, than))
  const amount = requireSize(Number(count), value, than)
  if (unit === "mp") return { unit: "pixels", pixels: Math.round(amount * 1e6) } as const
  return { unit: "bytes", bytes: Math.round(amount * byteUnits[unit]!) } as const
}

function sidesOf(a: number, b: number) {
  return { unit: "sides", longer: Math.max(a, b), shorter: Math.min(a, b) } as const
}

function requireSize(size: number, value: string, than: SizeBound["than"]): number {
  if (size > 0 && size < 1e12) return size
  throw new UserError(`--${than} ${quoted(value)} is not a size`, sizeHint("", than))
}

function sizeHint(text: string, than: SizeBound["than"]): string {
  const side = /^(\d+)(px)?$/.exec(text)?.[1]
  if (side !== undefined) return `of what? write ${side}x${side} for both sides, 2MP for pixels, 1MB for the file`
  return `write --${than} 2MP for pixels, 1000x800 for both sides, 1MB for the file`
}

function cameraPart(text: string): string {
  const part = text.trim().toLowerCase()
  if (part === "") throw new UserError("--camera holds no text", "write a part of its name: --camera pixel")
  return part
}

/** A city; pictures' places are exact to some ten meters. */
const defaultKilometers = 10

function placeOf(value: string): Near {
  const parts = value.split(",").map((part) => part.trim())
  const [latitude, longitude, kilometers] = [...parts.map(decimal), ...(parts.length === 2 ? [defaultKilometers] : [])]
  const isPlace = Math.abs(latitude!) <= 90 && Math.abs(longitude!) <= 180
  if (parts.length <= 3 && isPlace && kilometers! > 0 && kilometers! <= mostKilometers)
    return { latitude: latitude!, longitude: longitude!, kilometers: kilometers! }
  throw new UserError(
    `--near ${quoted(value)} is not a place`,
    "write LAT,LON or LAT,LON,KM in degrees, with decimal points, south and west negative: --near 52.52,13.405,5",
  )
}

function decimal(text: string): number {
  return /^[+-]?\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
}
