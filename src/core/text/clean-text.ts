/**
 * The text cleaning in front of CLIP's tokenizer (open_clip `tokenizer.py`, "lower"): HTML entities twice, whitespace,
 * lower case. Its first step, ftfy, is left out: captions with mojibake or curly quotes keep them.
 */
import { decodeEntity } from "html-entities"

// What Python calls whitespace; JavaScript's \s lacks \x1c-\x1f and \x85, and has U+FEFF besides.
// biome-ignore lint/suspicious/noControlCharactersInRegex: four of the separators are control characters
const whitespace = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g

const reference = /&(?:#(?:(\d+)|[xX]([\da-fA-F]+));?|([^\t\n\f <&#;]{1,32};?))/g

/** Unescapes entities twice (captions are often escaped twice), collapses whitespace, trims, lower-cases. */
export function cleanText(text: string): string {
  return unescapeHtml(unescapeHtml(text)).replace(whitespace, " ").replace(/^ | $/g, "").toLowerCase()
}

/** HTML5 character references as Python's `html.unescape` reads them: `&notit;` is `¬it;`. */
export function unescapeHtml(text: string): string {
  if (!text.includes("&")) return text
  return text.replace(reference, (_, decimal?: string, hex?: string, name?: string) =>
    name === undefined ? characterOf(decimal ? Number(decimal) : Number.parseInt(hex!, 16)) : expandName(name),
  )
}

/** The two names for which html-entities 2.6.0 has HTML 4's characters. */
const html5Brackets: Readonly<Record<string, string>> = { "&lang;": "\u27e8", "&rang;": "\u27e9" }

/** A name that is not known counts up to its longest known prefix. */
function expandName(name: string): string {
  for (let length = name.length; length > 1; length--) {
    const entity = `&${name.slice(0, length)}`
    const expanded = html5Brackets[entity] ?? decodeEntity(entity, { level: "html5" })
    if (expanded !== entity) return expanded + name.slice(length)
  }
  return `&${name}`
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
