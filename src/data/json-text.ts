/**
 * JSON of unknown origin. Two letters can become an object of 56 bytes, and a text that nests a million levels deep can be
 * parsed but not written again; so values and levels are counted before the text is parsed.
 */
import { messageOf, UserError } from "../core/errors.ts"

/** Values that are allowed in a text of any length, 15 MB of objects: 10,000 views, a mask of 256 x 256 or 500 captions as tokens. */
const freeValues = 2 ** 18

/** Beyond these, one value is allowed per so many letters, as in lists of numbers and texts. */
const lettersPerValue = 8

/** Real data nest about 10 levels deep. */
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

/** The value; errors name `what` it is: UserError where it is not JSON, or has too many values or levels. */
export function parseJson(text: string, what: string): unknown {
  try {
    return parseJsonText(text)
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${what}: ${error.message}`)
    throw new UserError(`${what} is damaged (${messageOf(error)})`, undefined, { cause: error })
  }
}

/** Where the string that begins at a quote ends; without a closing quote, after the last letter. */
function endOfText(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes++
    if (escapes % 2 === 0) return end
  }
  return text.length
}
