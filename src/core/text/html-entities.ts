/** HTML5's character references, read as Python's `html.unescape` does and as ftfy 6.3.1 (`unescape_html`) does. */
import { decodeEntity } from "html-entities"

const reference = /&(?:#(?:(\d+)|[xX]([\da-fA-F]+));?|([^\t\n\f <&#;]{1,32};?))/g

/** The references that ftfy resolves: those that end in a semicolon, of at most 24 letters and digits. */
const plainReference = /&#?[0-9A-Za-z]{1,24};/g

/** As Python's `html.unescape`: a semicolon may be missing, and `&notit;` is `¬it;`. */
export function unescapeHtml(text: string): string {
  if (!text.includes("&")) return text
  return text.replace(reference, (_, decimal?: string, hex?: string, name?: string) =>
    name === undefined ? characterOf(decimal ? Number(decimal) : Number.parseInt(hex!, 16)) : expandName(name),
  )
}

/** Only what ends in a semicolon and is known as a whole; names in capitals count where they mean nothing else. */
export function unescapePlainHtml(text: string): string {
  if (!text.includes("&")) return text
  return text.replace(plainReference, (entity) =>
    entity[1] === "#" ? expandNumber(entity) : (expandWhole(entity) ?? expandCapitals(entity) ?? entity),
  )
}

/** An ampersand that was escaped at least three times. */
const deepAmpersand = /&(?:(?:amp|AMP|#0{0,22}38|#[xX]0{0,21}26);){3,}/g

/**
 * Where nothing but ampersands is left to resolve, each escaped over and over: the text as it is when the first of them
 * has two levels left. Level by level, that would take time that grows with the square of the length.
 */
export function skipAmpersands(text: string): string {
  const others = text.replace(deepAmpersand, " ")
  if (others === text || unescapePlainHtml(others) !== others) return text
  const levels = (ampersand: string) => ampersand.slice(1).split(";")
  const depths = text.match(deepAmpersand)!.map((ampersand) => levels(ampersand).length - 1)
  const least = depths.reduce((a, b) => Math.min(a, b))
  return text.replace(
    deepAmpersand,
    (ampersand) =>
      `&${levels(ampersand)
        .slice(least - 2)
        .join(";")}`,
  )
}

/** A name that is not known counts up to its longest known prefix. */
function expandName(name: string): string {
  for (let length = name.length; length > 1; length--) {
    const expanded = expandWhole(`&${name.slice(0, length)}`)
    if (expanded !== null) return expanded + name.slice(length)
  }
  return `&${name}`
}

/** The two names for which html-entities 2.6.0 has HTML 4's characters. */
const html5Brackets: Readonly<Record<string, string>> = { "&lang;": "\u27e8", "&rang;": "\u27e9" }

function expandWhole(entity: string): string | null {
  const expanded = html5Brackets[entity] ?? decodeEntity(entity, { level: "html5" })
  return expanded === entity ? null : expanded
}

/** `&EACUTE;` is É: what was upper-cased together with the text around it. */
function expandCapitals(entity: string): string | null {
  if (entity !== entity.toUpperCase() || unescapeHtml(entity) !== entity) return null
  return expandWhole(entity.toLowerCase())?.toUpperCase() ?? null
}

/** `&#x3b;`, which is a semicolon, stays: it cannot be told from one that was read in part. */
function expandNumber(entity: string): string {
  const expanded = unescapeHtml(entity)
  return expanded.includes(";") ? entity : expanded
}

function characterOf(code: number): string {
  // These mean windows-1252, which the package knows (TextDecoder of Node 20 reads that encoding as Latin-1).
  if (code >= 0x80 && code <= 0x9f) return decodeEntity(`&#${code};`, { level: "html5" })
  if (code === 0 || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) return "\ufffd"
  return isNoncharacter(code) ? "" : String.fromCodePoint(code)
}

function isNoncharacter(code: number): boolean {
  const control = code < 0x20 && !(code >= 0x09 && code <= 0x0d && code !== 0x0b)
  return control || code === 0x7f || (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe
}
