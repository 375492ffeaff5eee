/** What a visitor asks to what the index is asked. Each fault is refused with the field that it is in. */
import { quoted, UserError } from "../../core/errors.ts"
import { pictureSize } from "../../host/image/picture-size.ts"
import { requireAllowedSize } from "../../host/image/pixel-limit.ts"
import type { Filters } from "../../search/query/filters.ts"
import { type FilterWords, parseFilters } from "../../search/query/parse/parse-filters.ts"
import { lookUpRows } from "../../search/query/rows/look-up.ts"
import type { SearchRequest, SearchTerm } from "../../search/query/search-request.ts"
import type { IndexStore } from "../../search/store/index-store.ts"
import { RequestError } from "../http/errors.ts"
import type { VisitorFilters, VisitorQuery } from "./index-work.ts"
import { pictureOfId } from "./picture-id.ts"
import type { PublicNames } from "./public-names.ts"
import { openText } from "./sealed-text.ts"

export interface Surroundings {
  readonly store: IndexStore
  readonly names: PublicNames
  readonly cursorKey: Uint8Array
}

export interface UnderstoodRequest {
  readonly request: SearchRequest
  /** For people: `"red car" + a picture - "people"`. */
  readonly text: string
}

/** Throws RequestError. Nothing is waited for: meanwhile another index might take the place of the store's. */
export function requestOf(asked: VisitorQuery, around: Surroundings): UnderstoodRequest {
  const { limit, cursor } = asked
  const like = asked.like === undefined ? null : pathOfId(around.store, asked.like)
  const request = {
    ...{ terms: termsOf(asked, like), filters: filtersOf(asked, around.names), limit },
    cursor: cursor === undefined ? undefined : opened(cursor, around.cursorKey),
  }
  return { request, text: textOf(asked, like === null ? null : around.names.nameOf(like)) }
}

/** Before its pixels are read, and with its field. Throws RequestError. */
export async function requirePicture(image: Uint8Array, maxPixels: number): Promise<void> {
  try {
    const { width, height } = await pictureSize(image, "image")
    requireAllowedSize("image", width, height, maxPixels)
  } catch (error) {
    if (error instanceof UserError) throw new RequestError("invalid", error.message, "image")
    throw error
  }
}

/** The first file of a picture. The index is asked by it, and takes the vector that it has. */
function pathOfId(store: IndexStore, id: string): string {
  return store.reading(() => {
    const { row } = pictureOfId(store, id, "like")
    return lookUpRows(store, [row], {}).get(row)!.paths[0]!
  })
}

function termsOf({ query, image, minus = [] }: VisitorQuery, like: string | null): SearchTerm[] {
  const plus: SearchTerm[] = [
    ...(query === undefined ? [] : [textTerm(query, 1, "query")]),
    ...(image ? [{ kind: "bytes", weight: 1, bytes: image } as const] : []),
    ...(like === null ? [] : [{ kind: "like", weight: 1, path: like } as const]),
  ]
  if (plus.length > 0) return [...plus, ...minus.map((text, i) => textTerm(text, -1, `minus[${i}]`))]
  const what = minus.length > 0 ? "the request only says what is not looked for" : "nothing is looked for"
  throw new RequestError("invalid", `${what}: send query, image or like`, "query")
}

function textTerm(text: string, weight: 1 | -1, field: string): SearchTerm {
  if (text.trim() === "") throw new RequestError("invalid", `${field} is blank: write what is to be seen`, field)
  return { kind: "text", weight, text }
}

function textOf({ query, image, minus = [] }: VisitorQuery, like: string | null): string {
  const plus = [
    ...(query === undefined ? [] : [quoted(query)]),
    ...(image ? ["a picture"] : []),
    ...(like === null ? [] : [`like ${quoted(like)}`]),
  ]
  return [plus.join(" + "), ...minus.map(quoted)].join(" - ")
}

function opened(cursor: string, key: Uint8Array): string {
  const text = openText(key, cursor)
  if (text !== null) return text
  const what = "the cursor is not one that this server gave since it was started"
  throw new RequestError("invalid", `${what}: ask for the first page again, without a cursor`, "cursor")
}

// ------------------------------------------------------------------------------------------------------ filters

/** Fields by the command line's options, which messages of `parseFilters` name. */
const fields = {
  ...{ after: "after", before: "before", date: "date", in: "folders", name: "names", larger: "larger" },
  ...{ smaller: "smaller", orientation: "orientation", camera: "cameras", near: "near", format: "format" },
} as const satisfies Record<keyof FilterWords, keyof VisitorFilters>

function filtersOf(asked: VisitorFilters, names: PublicNames): Filters {
  const folders = asked.folders?.flatMap((name, i) => names.foldersOf(name, `folders[${i}]`))
  const given = Object.entries(fields).flatMap(([option, field]) => {
    const value = field === "folders" ? folders : asked[field]
    return value === undefined ? [] : [[option, value]]
  })
  const filters = parsed(Object.fromEntries(given))
  requireFew(filters)
  return filters
}

function parsed(words: FilterWords): Filters {
  try {
    return parseFilters(words)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    throw filterError(error)
  }
}

/** Each is compared with each file, or picture: a pattern of names takes half a second of a processor for 760,000 files. */
const mostAlternatives = 16

function requireFew({ folders = [], names = [], cameras = [], sizes = [] }: Filters): void {
  for (const [field, { length }] of Object.entries({ folders, names, cameras, larger: sizes })) {
    if (length <= mostAlternatives) continue
    const subject = field === "larger" ? "larger and smaller together have" : `${field} stands for`
    throw new RequestError("invalid", `${subject} ${length} values, and may have ${mostAlternatives}`, field)
  }
}

function filterError({ message, hint }: UserError): RequestError {
  const option = /^--([a-z]+)/.exec(message)?.[1]
  const parameter = option === undefined ? null : fieldOf(option)
  const text = hint === undefined ? message : `${message}; ${hint}`
  return new RequestError(
    "invalid",
    text.replaceAll(/(?<![\w-])--([a-z]+)/g, (_, name) => fieldOf(name)),
    parameter,
  )
}

function fieldOf(option: string): string {
  return Object.hasOwn(fields, option) ? fields[option as keyof FilterWords] : option
}
