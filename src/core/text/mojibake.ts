/**
 * Undoes mojibake, UTF-8 that was read in another encoding, as ftfy 6.3.1 does (`fix_encoding`): where a text looks bad,
 * the first encoding whose bytes for it are UTF-8 was the wrong one.
 */
import { isBad } from "./badness.ts"
import { c1Controls, charactersOf, decodeUtf8, type EncodingName, encode, encodings, isLoose } from "./encodings.ts"

/** Several readings may be on top of each other. */
export function fixEncoding(text: string): string {
  for (let current = text; ; ) {
    const fixed = fixOnce(current)
    if (fixed === current) return current
    current = fixed
  }
}

function fixOnce(text: string): string {
  if (!isBad(text)) return text
  for (const encoding of encodings) {
    const bytes = encode(text, encoding)
    const decoded = bytes === null ? null : decodeUtf8(restoreBytes(bytes, encoding))
    if (decoded !== null) return decoded
  }
  const fixed = fixParts(text)
  return fixed === text ? fixC1Controls(text) : fixed
}

/** Where one encoding does not explain all of a text, runs of what can be UTF-8 are looked at alone. */
function fixParts(text: string): string {
  return text.replace(utf8Run, (run) => (run.length < text.length && isBad(run) ? fixEncoding(run) : run))
}

const c1 = new Map(c1Controls)

function fixC1Controls(text: string): string {
  return text.replace(/[\x80-\x9f]/g, (control) => c1.get(control) ?? control)
}

/** Encodings that resemble Latin-1, whose characters are looked for in runs. */
const latinLike: readonly EncodingName[] = encodings.filter((name) => name === "latin-1" || isLoose(name))

function bytesFrom(...ranges: readonly (readonly [first: number, last: number])[]): string {
  return latinLike.flatMap((name) => ranges.flatMap(([first, last]) => charactersOf(name, first, last))).join("")
}

/** What may come after a first byte; a space may have been byte A0. */
const continuation = `${bytesFrom([0x80, 0xbf])} `
/** Those of them that are hardly ever meant. */
const unlikely = continuation.replace(/[ –—―‘’‚“”„•…]/g, "")

/** Sequences of two to four bytes, one after the other, but not the rest of a longer garble. */
const utf8Run = new RegExp(
  `(?<![${unlikely}])(?:[${bytesFrom([0xc2, 0xdf])}][${continuation}]|` +
    `[${bytesFrom([0xe0, 0xef])}][${continuation}]{2}|` +
    `[${bytesFrom([0xf0, 0xf0], [0xf3, 0xf3])}][${continuation}]{3})+`,
  "gu",
)

function restoreBytes(bytes: string, encoding: EncodingName): string {
  // In Mac OS Roman an en dash and a space would look like a byte A0 that was lost.
  const spaced = encoding === "macroman" ? bytes : restoreA0(bytes)
  return isLoose(encoding) ? spaced.replace(lossySequence, "\xef\xbf\xbd") : spaced
}

/** UTF-8 whose byte A0 became a space. */
const spacedSequence = new RegExp(
  [
    "[\xc2\xc3\xc5\xce\xd0\xd9] ",
    "[\xe2\xe3] [\x80-\x84\x86-\x9f\xa1-\xbf]",
    "[\xe0-\xe3][\x80-\x84\x86-\x9f\xa1-\xbf] ",
    "\xf0 [\x80-\xbf]{2}",
    "\xf0[\x80-\xbf] [\x80-\xbf]",
    "\xf0[\x80-\xbf]{2} ",
  ].join("|"),
  "g",
)

/** "à" before a space is a word of its own, but for the Portuguese words that begin with it. */
const aGraveWord = /\xc3 (?! |quele|quela|quilo|s )/g

function restoreA0(bytes: string): string {
  if (bytes.search(spacedSequence) === -1) return bytes
  return bytes.replace(aGraveWord, "\xc3\xa0 ").replace(spacedSequence, (sequence) => sequence.replaceAll(" ", "\xa0"))
}

/** UTF-8 and CESU-8 of which bytes were lost; a question mark may stand for one of them. */
const lossySequence = new RegExp(
  [
    "[\xc2-\xdf]\x1a",
    "[\xc2\xc3]\\?",
    "\xed[\xa0-\xaf][\x1a?]\xed[\xb0-\xbf][\x1a?\x80-\xbf]",
    "\xed[\xa0-\xaf][\x1a?\x80-\xbf]\xed[\xb0-\xbf][\x1a?]",
    "[\xe0-\xef][\x1a?][\x1a\x80-\xbf]",
    "[\xe0-\xef][\x1a\x80-\xbf][\x1a?]",
    "[\xf0-\xf4][\x1a?][\x1a\x80-\xbf]{2}",
    "[\xf0-\xf4][\x1a\x80-\xbf][\x1a?][\x1a\x80-\xbf]",
    "[\xf0-\xf4][\x1a\x80-\xbf]{2}[\x1a?]",
    "\x1a",
  ].join("|"),
  "g",
)
