/** Which pictures a search looks at. All filters that are given must hold; within a list, one of the values is enough. */
import { isAbsolute } from "node:path"
import { kindOf } from "../../core/arguments.ts"
import { quoted, UserError } from "../../core/errors.ts"
import { isObject } from "../../core/json.ts"
import { nearestNames } from "../../core/nearest.ts"

/** As a picture is seen, its camera's orientation applied. */
export const shapes = ["landscape", "portrait", "square"] as const

export type Shape = (typeof shapes)[number]

/** As `pictureFormat` names them by a file's first bytes. */
export const formats = ["jpg", "png", "webp", "avif", "tif", "gif", "heic"] as const

export interface Filters {
  /** Pictures without a date are left out. */
  readonly taken?: TimeRange
  /** Absolute paths, of which only a drive's root ends with a separator: a file is below one of them by whole names ("/a/b" does not hold "/a/bc.jpg"). */
  readonly folders?: readonly string[]
  /** SQLite's GLOB patterns for the file's name alone; the case of ASCII letters does not count. */
  readonly names?: readonly string[]
  /** Every one of them holds. */
  readonly sizes?: readonly SizeBound[]
  readonly shapes?: readonly Shape[]
  /** Parts of the camera's name; the case of ASCII letters does not count. */
  readonly cameras?: readonly string[]
  /** Pictures without a place are left out. */
  readonly near?: Near
  /** Some of `formats`. */
  readonly formats?: readonly string[]
}

/**
 * Local times of the camera, "2023-07-14T18:02:11", which compare as texts: `from <= taken AND taken < until`; null is without
 * an end.
 */
export interface TimeRange {
  readonly from: string | null
  readonly until: string | null
}

/** "larger": at least as large; "smaller": not so. */
export type SizeBound = { readonly than: "larger" | "smaller" } & (
  | { readonly unit: "pixels"; readonly pixels: number }
  | { readonly unit: "bytes"; readonly bytes: number }
  /** The picture's longer side and its shorter one, in pixels: both are as long where it is larger. */
  | { readonly unit: "sides"; readonly longer: number; readonly shorter: number }
)

/** Degrees, north and east positive, and the radius around the place. */
export interface Near {
  readonly latitude: number
  readonly longitude: number
  readonly kilometers: number
}

/** Half of the way around the earth. */
export const mostKilometers = 20_040

/** More make a database's condition too deep. */
export const mostValues = 200

interface Rule {
  fits(value: unknown): boolean
  /** What the value is to be, or each one of a list. */
  readonly what: string
  readonly hint: string
  readonly isList: boolean
}

const isText = (value: unknown) => typeof value === "string" && value !== ""
const isTime = (value: unknown) =>
  value === null || (typeof value === "string" && /^\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d)?)?)?)?)?$/.test(value))
const isFrom = (low: number, high: number, value: unknown) => typeof value === "number" && value >= low && value <= high

const rules: Readonly<Record<keyof Filters, Rule>> = {
  taken: {
    fits: (value) => isObject(value) && isTime(value.from) && isTime(value.until),
    ...{ what: "a range of times", hint: '{ from: "2023-07-14T18:02:11", until: null }', isList: false },
  },
  folders: {
    fits: (value) => typeof value === "string" && isAbsolute(value),
    ...{ what: "an absolute path", hint: 'write folders: [resolve("photos")]', isList: true },
  },
  names: {
    fits: (value) => isText(value) && !/[\\/]/.test(value as string),
    ...{ what: "a pattern of a file's name alone", hint: 'write names: ["img_2*"]', isList: true },
  },
  sizes: {
    fits: isSizeBound,
    ...{ what: "a bound", hint: 'write sizes: [{ than: "larger", unit: "pixels", pixels: 2e6 }]', isList: true },
  },
  shapes: {
    fits: (value) => shapes.includes(value as Shape),
    ...{ what: "a shape", hint: `there are ${shapes.join(", ")}`, isList: true },
  },
  cameras: { fits: isText, what: "a part of a camera's name", hint: 'write cameras: ["pixel"]', isList: true },
  near: {
    fits: (value) =>
      isObject(value) &&
      isFrom(-90, 90, value.latitude) &&
      isFrom(-180, 180, value.longitude) &&
      isFrom(Number.MIN_VALUE, mostKilometers, value.kilometers),
    ...{
      what: "a place",
      hint: "write { latitude: 52.52, longitude: 13.4, kilometers: 10 }, in degrees",
      isList: false,
    },
  },
  formats: {
    fits: (value) => formats.includes(value as (typeof formats)[number]),
    ...{ what: "a format", hint: `there are ${formats.join(", ")}`, isList: true },
  },
}

function isSizeBound(value: unknown): boolean {
  if (!isObject(value) || !["larger", "smaller"].includes(value.than as string)) return false
  const isSize = (size: unknown) => isFrom(0, 1e12, size)
  if (value.unit === "sides") return isSize(value.longer) && isSize(value.shorter)
  return (value.unit === "pixels" && isSize(value.pixels)) || (value.unit === "bytes" && isSize(value.bytes))
}

/** Throws UserError that names the filter, what was found and what is expected: a wrong one would find nothing, or everything. */
export function requireFilters(filters: unknown): asserts filters is Filters {
  if (!isObject(filters)) throw new UserError(`filters must be an object, not ${kindOf(filters)}`)
  for (const [name, value] of Object.entries(filters)) {
    const rule = Object.hasOwn(rules, name) ? rules[name as keyof Filters] : unknownFilter(name)
    if (value !== undefined) requireFilter(name, value, rule)
  }
}

function unknownFilter(name: string): never {
  const names = Object.keys(rules)
  const hint = `perhaps ${nearestNames(name, names, 1)}; there are ${names.join(", ")}`
  throw new UserError(`there is no filter ${quoted(name)}`, hint)
}

function requireFilter(name: string, value: unknown, { fits, what, hint, isList }: Rule): void {
  if (isList && !Array.isArray(value)) throw new UserError(`filters.${name} must be a list, not ${kindOf(value)}`, hint)
  const values: readonly unknown[] = isList ? (value as unknown[]) : [value]
  if (values.length > mostValues)
    throw new UserError(`filters.${name} has ${values.length} values, more than ${mostValues}`, "search several times")
  for (const each of values)
    if (!fits(each))
      throw new UserError(`filters.${name}: ${JSON.stringify(each) ?? kindOf(each)} is not ${what}`, hint)
}
