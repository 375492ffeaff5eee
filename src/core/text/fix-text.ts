/**
 * ftfy 6.3.1's `fix_text` with its defaults, the first step of open_clip's cleaning: mojibake, entities, typographic
 * variants of plain characters, control characters, NFC. NFC, digits and letters are of the Unicode version that the
 * JavaScript engine has; ftfy's are of Python's (14.0 in Python 3.11), which differ in characters added between the two.
 */
import { c1Controls } from "./encodings.ts"
import { skipAmpersands, unescapePlainHtml } from "./html-entities.ts"
import { fixEncoding } from "./mojibake.ts"

/** Printable ASCII without an ampersand, which may begin an entity: nothing in it needs a repair. */
const plain = /^[ -%'-~]*$/

export function isPlain(text: string): boolean {
  return plain.test(text)
}

/** Code points that are looked at together, at most: what is longer is cut, though a word may be in the way. */
const longestSegment = 1_000_000

/** Repairs `text` line by line. Entities stay from the first line on that has a "<", because that is HTML. */
export function fixText(text: string): string {
  if (isPlain(text)) return text
  let fixed = ""
  let html = false
  for (const segment of segments(text)) {
    html ||= segment.includes("<")
    fixed += fixSegment(segment, html)
  }
  return fixed
}

function* segments(text: string): Generator<string> {
  let start = 0
  while (start < text.length) {
    const end = cut(text, start, text.indexOf("\n", start) + 1 || text.length)
    yield text.slice(start, end)
    start = end
  }
}

function cut(text: string, start: number, end: number): number {
  if (end - start <= longestSegment) return end
  let at = start
  for (let count = 0; count < longestSegment && at < end; count++) at += text.codePointAt(at)! > 0xffff ? 2 : 1
  return at
}

/** One repair can make another possible, so all are repeated until nothing changes. */
function fixSegment(segment: string, html: boolean): string {
  for (let text = segment; ; ) {
    const unescaped = html ? text : unescapePlainHtml(text)
    const fixed = plainCharacters(fixEncoding(unescaped)).normalize("NFC")
    if (fixed === text) return text
    text = fixed === unescaped ? skipAmpersands(fixed) : fixed
  }
}

/** Two characters for one, and digraphs that old encodings had. */
const ligatures = {
  ...{ Ĳ: "IJ", ĳ: "ij", ŉ: "'n" },
  ...{ Ǳ: "DZ", ǲ: "Dz", ǳ: "dz", Ǆ: "DŽ", ǅ: "Dž", ǆ: "dž" },
  ...{ Ǉ: "LJ", ǈ: "Lj", ǉ: "lj", Ǌ: "NJ", ǋ: "Nj", ǌ: "nj" },
  ...{ ﬀ: "ff", ﬁ: "fi", ﬂ: "fl", ﬃ: "ffi", ﬄ: "ffl", ﬅ: "ſt", ﬆ: "st" },
}

/** Characters of full and half width, in the width that they have elsewhere. */
const widths = Array.from({ length: 0xfff0 - 0xff01 }, (_, i) => String.fromCharCode(0xff01 + i))
  .map((character) => [character, character.normalize("NFKC")] as const)
  .filter(([character, usual]) => character !== usual)

/** Characters (and a line break of two) -> their plainer form. */
export const replacements: ReadonlyMap<string, string> = new Map<string, string>([
  ...c1Controls,
  ...Object.entries(ligatures),
  ["\u3000", " "],
  ...widths,
  ...Array.from("\u02bc\u2018\u2019\u201a\u201b", (quote) => [quote, "'"] as const),
  ...Array.from("\u201c\u201d\u201e\u201f", (quote) => [quote, '"'] as const),
  ...["\r\n", "\r", "\u2028", "\u2029"].map((lineBreak) => [lineBreak, "\n"] as const),
])

const unusual = new RegExp(`\r\n|[${[...replacements.keys()].filter((key) => key.length === 1).join("")}]`, "g")

/** Colours and the like, for terminals. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: an escape sequence begins with one
export const terminalEscape = /\x1b\[[\p{Nd};]*[a-zA-Z]/gu

/** Control characters that show nothing, of ASCII and Arabic; marks of annotations, objects and byte order. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
export const invisible = /[\0-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g

function plainCharacters(text: string): string {
  return text
    .replace(unusual, (found) => replacements.get(found)!)
    .toWellFormed()
    .replace(terminalEscape, "")
    .replace(invisible, "")
}
