/**
 * Foreign text where people read it: names of files and classes, captions, messages of servers. What would steer a terminal or
 * turn the direction of reading is shown as an escape; letters of all scripts, combining marks and joined emoji stay.
 */

/** Control characters, embeddings, overrides and isolates of direction, line separators, surrogates without a partner. */
const unprintable = /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu

/** `text` in one line: a line break is shown as `\n`. */
export function printable(text: string): string {
  return text.replaceAll(unprintable, escapeOf)
}

/** The same for text of several lines: breaks and tabs stay. JSON keeps its meaning. */
export function printableLines(text: string): string {
  return text.replaceAll(unprintable, (character) => (/[\n\t]/.test(character) ? character : escapeOf(character)))
}

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

/** JSON leaves only characters from U+007F on as they are, and those are written as JSON writes them. */
function escapeOf(character: string): string {
  const code = character.charCodeAt(0)
  const digits = code.toString(16)
  return short[character] ?? (code < 0x7f ? `\\x${digits.padStart(2, "0")}` : `\\u${digits.padStart(4, "0")}`)
}
