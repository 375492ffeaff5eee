/**
 * JSON of unknown origin. Two letters can become an object of 56 bytes, and a text that nests a million levels deep can be
 * parsed but not written again; so values and levels are counted before the text is parsed.
 */
import { messageOf, UserError } from "../core/errors.ts"
import { isObject, JsonNumber } from "../core/json.ts"

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
  scan(text)
  return JSON.parse(text)
}

/**
 * The same for JSON as Python's `json` writes it, with `NaN`, `Infinity` and `-Infinity`, of which nothing is lost: a number
 * that JavaScript would write otherwise is a JsonNumber.
 */
export function parseExactJson(text: string): unknown {
  const odd: string[] = []
  let [plain, end] = ["", 0]
  scan(text, (at, literal) => {
    plain += text.slice(end, at) + String(standIn(odd.push(literal)))
    end = at + literal.length
  })
  if (odd.length === 0) return JSON.parse(text)
  return JSON.parse(plain + text.slice(end), (_, value) =>
    isStandIn(value) ? new JsonNumber(odd[value / standIn(1) - 1]!) : value,
  )
}

/** JSON of a value that `parseExactJson` gave, in which its numbers are what they were. */
export function formatExactJson(value: unknown): string {
  if (value instanceof JsonNumber) return value.text
  if (Array.isArray(value)) return `[${value.map(formatExactJson).join()}]`
  if (!isObject(value)) return JSON.stringify(value)
  const parts = Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}:${formatExactJson(part)}`)
  return `{${parts.join()}}`
}

/**
 * Numbers that JSON.parse gets in place of those that it cannot keep: the negative ones next to 0, counted from 1. Where a text
 * has such numbers itself, they have stand-ins, too.
 */
function standIn(count: number): number {
  return -count * Number.MIN_VALUE
}

function isStandIn(value: unknown): value is number {
  return typeof value === "number" && value < 0 && value > -1e-300
}

/** Letters that a number may be of, and others that would make it something else. */
const word = /[\w.+-]+/y

const numberLiteral = /^(?:-?(?:(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|Infinity)|NaN)$/

/** A digit, `-`, or the first letter of `NaN` and `Infinity`. */
function isNumberStart(letter: number): boolean {
  return (letter >= 0x30 && letter <= 0x39) || letter === 0x2d || letter === 0x4e || letter === 0x49
}

function wordAt(text: string, at: number): string {
  word.lastIndex = at
  return word.exec(text)![0]
}

/** Whether it is a number that JavaScript would write otherwise. */
function isOdd(literal: string): boolean {
  const value = Number(literal)
  return numberLiteral.test(literal) && (JSON.stringify(value) !== literal || isStandIn(value))
}

/**
 * Counts values and levels. Throws UserError where there are too many.
 *
 * @param onOdd is told of each number that JavaScript would write otherwise, and where it begins
 */
function scan(text: string, onOdd?: (at: number, literal: string) => void): void {
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
    } else if (onOdd && isNumberStart(letter)) {
      const literal = wordAt(text, at)
      if (isOdd(literal)) onOdd(at, literal)
      at += literal.length - 1
    }
    if (values > most) throw new UserError(`it has more values than are read: ${most} in ${text.length} letters`)
  }
}

/** The value; errors name `what` it is: UserError where it is not JSON, or has too many values or levels. */
export function parseJson(text: string, what: string, parse = parseJsonText): unknown {
  try {
    return parse(text)
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
