/**
 * The few fields of an XMP packet that are of use, wherever it lies in a file: its text is found by its first element, and read by
 * names, in one pass for each. What a damaged or hostile packet says is nothing, or a text of its own.
 */
import { decodeEntity } from "html-entities"

export interface Xmp {
  readonly description: string | null
  readonly subjects: readonly string[]
  readonly rating: string | null
  /** As ISO 8601 writes it. */
  readonly date: string | null
  /** Degrees, north and east. */
  readonly latitude: number | null
  readonly longitude: number | null
}

export const noXmp: Xmp = {
  ...{ description: null, subjects: [], rating: null, date: null },
  ...{ latitude: null, longitude: null },
}

const mostBytes = 2 ** 20
const mostSubjects = 1000

/** @param file or the part of it in which a packet may be */
export function xmpIn(file: Buffer): Xmp {
  const start = file.indexOf("<x:xmpmeta")
  return start < 0 ? noXmp : parseXmp(packetFrom(file, start))
}

function packetFrom(file: Buffer, start: number): string {
  const part = file.subarray(start, start + mostBytes)
  const end = part.indexOf("</x:xmpmeta>")
  return part.toString("utf8", 0, end < 0 ? part.length : end)
}

export function parseXmp(text: string): Xmp {
  return {
    description: described(text),
    subjects: itemsOf(elementOf(text, "dc:subject") ?? "").slice(0, mostSubjects),
    rating: fieldOf(text, "xmp:Rating"),
    date:
      fieldOf(text, "exif:DateTimeOriginal") ??
      fieldOf(text, "photoshop:DateCreated") ??
      fieldOf(text, "xmp:CreateDate"),
    latitude: degreesOf(fieldOf(text, "exif:GPSLatitude")),
    longitude: degreesOf(fieldOf(text, "exif:GPSLongitude")),
  }
}

/** "48,8.2057N" and "11,34,0W": degrees, minutes, and perhaps seconds. */
function degreesOf(text: string | null): number | null {
  const match = /^\s*(\d{1,3}),(\d{1,2}(?:\.\d{1,12})?)(?:,(\d{1,2}(?:\.\d{1,12})?))?([NSEW])\s*$/.exec(text ?? "")
  if (!match) return null
  const [degrees, minutes, seconds] = match.slice(1, 4).map((part) => Number(part ?? 0)) as [number, number, number]
  const value = degrees + minutes / 60 + seconds / 3600
  return match[4] === "S" || match[4] === "W" ? -value : value
}

function described(text: string): string | null {
  const element = elementOf(text, "dc:description")
  // Other languages come after the one that counts.
  return element === null ? fieldOf(text, "dc:description") : (itemsOf(element)[0] ?? null)
}

/** What is between the tags of the first element of this name. */
function elementOf(text: string, name: string): string | null {
  const open = text.indexOf(`<${name}>`)
  if (open < 0) return null
  const start = open + name.length + 2
  const end = text.indexOf(`</${name}>`, start)
  return end < 0 ? null : text.slice(start, end)
}

/** The text of an element or an attribute. */
function fieldOf(text: string, name: string): string | null {
  const element = elementOf(text, name)
  if (element !== null) return plain(element)
  const at = text.indexOf(` ${name}=`)
  const start = at + name.length + 3
  const quote = text[start - 1]
  if (at < 0 || (quote !== '"' && quote !== "'")) return null
  const end = text.indexOf(quote, start)
  return end < 0 ? null : plain(text.slice(start, end))
}

function itemsOf(element: string): string[] {
  const items: string[] = []
  for (let at = element.indexOf("<rdf:li"); at >= 0 && items.length < mostSubjects; ) {
    const start = element.indexOf(">", at) + 1
    const end = element.indexOf("</rdf:li>", start)
    if (start === 0 || end < 0) break
    items.push(plain(element.slice(start, end)))
    at = element.indexOf("<rdf:li", end)
  }
  return items
}

function plain(text: string): string {
  return text.replace(/&[#\w]{1,10};/g, (entity) => decodeEntity(entity, { level: "xml" }))
}
