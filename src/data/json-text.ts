/**
 * JSON of unknown origin. Two letters of it become an object of 56 bytes, and a text that nests a million deep is read
 * but cannot be written again; so its values and levels are counted before it is parsed.
 */
import { UserError } from "../core/errors.ts"

/** However short the text is, which is 15 MB of objects: 10,000 views, a mask of 256 x 256 or 500 captions as tokens. */
const freeValues = 2 ** 18

/** Beyond these, one for so many letters, as lists of numbers and texts have. */
const lettersPerValue = 8

/** What is made by people nests some 10 deep. */
const deepestLevel = 128

const [quote, backslash, comma, colon, openList, closeList, openObject, closeObject] = [...'"\\,:[]{}'].map((letter) =>
  letter.charCodeAt(0),
) as [number, number, number, number, number, number, number, number]

/** The value. Throws UserError where there are too many values or levels, SyntaxError on what is not JSON. */
export function parseJsonText(text: string): unknown {
  const most = freeValues + Math.floor(text.length / lettersPerValue)
  let [values, depth] = [0, 0]
  for (let at = 0; at < text.length; at++) {
    const letter = text.charCodeAt(at)
    if (letter === quote) at = endOfText(text, at)
    else if (letter === comma || letter === colon) values++
    else if (letter === closeList || letter === closeObject) depth--
    else if (letter === openList || letter === openObject) {
      values++
      if (++depth > deepestLevel) throw new UserError(`it nests deeper than ${deepestLevel} levels`)
    }
    if (values > most) throw new UserError(`it has more values than are read: ${most} in ${text.length} letters`)
  }
  return JSON.parse(text)
}

/** Where the text that begins at a quote ends; without an end, behind the last letter. */
function endOfText(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes++
    if (escapes % 2 === 0) return end
  }
  return text.length
}
