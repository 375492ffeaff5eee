/**
 * What other files say about a picture: for `a/IMG.jpg`, a caption in `IMG.txt` or `IMG.jpg.txt`; XMP in `IMG.xmp` or `IMG.jpg.xmp`, as
 * Lightroom and darktable write it; `IMG.jpg.json` or `IMG.jpg.supplemental-metadata.json` of Google Takeout. What cannot be read is left out.
 */
import { extname } from "node:path"
import { isObject, jsonOrNull } from "../../core/json.ts"
import { decodeText } from "../../core/text/decode-text.ts"
import { readBytesIfThere, requireSmall } from "../files/files.ts"
import { type Taken, takenAt } from "./metadata/taken.ts"
import { captionFrom, keywordsFrom } from "./metadata/words.ts"
import { parseXmp } from "./metadata/xmp.ts"
import { noMetadata, type PictureMetadata, placeOf, ratingOf } from "./picture-metadata.ts"

/** What people and programs write is some kilobytes. */
const mostBytes = 2 ** 20

/** The first that has a field gives it: what people wrote comes before what programs did. */
const readers: readonly (readonly [ending: string, read: (text: string) => Partial<PictureMetadata>])[] = [
  ["txt", (text) => ({ caption: captionFrom([text]) })],
  ["xmp", readXmp],
  ["json", readTakeout],
  ["supplemental-metadata.json", readTakeout],
]

/** The files that are looked for beside a picture, with what reads them. */
function filesBeside(path: string) {
  const stem = path.slice(0, path.length - extname(path).length)
  return readers.flatMap(([ending, read]) => [`${path}.${ending}`, `${stem}.${ending}`].map((name) => ({ name, read })))
}

/** Whether a file may be read by `captionBeside`, by the end of its name. */
export function mayDescribe(name: string): boolean {
  return readers.some(([ending]) => name.endsWith(`.${ending}`))
}

/** Names of the files that `captionBeside` reads. */
export function namesBeside(path: string): string[] {
  return filesBeside(path).map(({ name }) => name)
}

/**
 * Null where no such file says anything. Its `orientation` is always 1.
 *
 * @param path the picture's
 * @param isThere whether there may be a file of this name beside it; absent: each is looked for
 */
export async function captionBeside(
  path: string,
  isThere: (path: string) => boolean = () => true,
): Promise<PictureMetadata | null> {
  let found: PictureMetadata | null = null
  for (const { name, read } of filesBeside(path)) {
    const text = name !== path && isThere(name) ? await textOf(name) : null
    if (text !== null) found = merged(found, read(text))
  }
  return found
}

async function textOf(path: string): Promise<string | null> {
  try {
    const bytes = await readBytesIfThere(path, requireSmall(path, mostBytes))
    return bytes && decodeText(bytes, path)
  } catch {
    return null
  }
}

/** A file that says nothing leaves it at that. */
function merged(before: PictureMetadata | null, more: Partial<PictureMetadata>): PictureMetadata | null {
  const { keywords = [], ...fields } = more
  const said = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined)
  if (said.length === 0 && keywords.length === 0) return before
  const known = before ?? noMetadata
  const missing = said.filter(([name]) => (known[name as keyof PictureMetadata] ?? null) === null)
  return { ...known, ...Object.fromEntries(missing), keywords: keywordsFrom([known.keywords, keywords]) }
}

function readXmp(text: string): Partial<PictureMetadata> {
  const { description, subjects, rating, date, latitude, longitude } = parseXmp(text)
  const stars = ratingOf(rating)
  return {
    ...{ caption: captionFrom([description]), keywords: keywordsFrom([subjects]), taken: takenAt(date, null) },
    ...placeOf(latitude, longitude),
    ...(stars === null ? {} : { rating: stars }),
  }
}

function readTakeout(text: string): Partial<PictureMetadata> {
  const value = jsonOrNull(text)
  if (!isObject(value)) return {}
  const { description, people, photoTakenTime, geoData, geoDataExif } = value
  const places = [geoData, geoDataExif].filter(isObject).map(({ latitude, longitude }) => placeOf(latitude, longitude))
  return {
    caption: captionFrom([description]),
    keywords: keywordsFrom(Array.isArray(people) ? people.filter(isObject).map(({ name }) => name) : []),
    taken: isObject(photoTakenTime) ? takenFrom(photoTakenTime.timestamp) : null,
    ...places.find(({ latitude }) => latitude !== null),
  }
}

/** Seconds since 1970, as a text; the camera's clock is not told. */
function takenFrom(timestamp: unknown): Taken | null {
  const seconds = typeof timestamp === "string" && /^-?\d{1,11}$/.test(timestamp) ? Number(timestamp) : Number.NaN
  const date = new Date(seconds * 1000)
  return Number.isNaN(date.getTime()) ? null : takenAt(date.toISOString(), "+00:00")
}
