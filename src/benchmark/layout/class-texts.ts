/**
 * Class names and templates as CLIP_benchmark reads them (clip_benchmark/datasets/builder.py @48de38c): lines as Python's
 * `splitlines` cuts them, stripped. The number of a line, from 0, is the class's index, so a blank line is a mistake.
 */
import { quoted, UserError } from "../../core/errors.ts"
import { decodeText } from "../../core/text/decode-text.ts"

export const templateFile = "zeroshot_classification_templates.txt"

/** Line feeds, returns, both; and the separators that Python takes for ends of lines. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python cuts there too
const lineEnd = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/

/** The lines of a text; a line end at its end begins no further line. */
export function splitLines(text: string): string[] {
  const lines = text.split(lineEnd)
  if (lines.at(-1) === "") lines.pop()
  return lines
}

/** Letters of a name or a template: a tokenizer takes 77 tokens, about 400 letters. */
const longestLine = 10_000

/** Each is encoded, and the vectors of all are in memory: published sets have up to 22,000 classes. */
const mostLines = 1_000_000

/**
 * Class names by index. Blank lines at the end are passed over.
 *
 * @param file for messages
 * @throws UserError that names the file and the line
 */
export function parseClassNames(bytes: Uint8Array, file: string): string[] {
  return linesOf(bytes, file, "class names").map((name, i) => {
    if (name !== "") return name
    throw new UserError(
      `${file}, line ${i + 1}: the class has no name`,
      "write a name in every line: the line is the label",
    )
  })
}

/** Prompts with a place for the class name. Blank lines are passed over. Throws UserError like `parseClassNames`. */
export function parseTemplates(bytes: Uint8Array, file: string): string[] {
  return linesOf(bytes, file, "templates").flatMap((template, i) => {
    if (template === "" || /\{c?\}/.test(template)) return template === "" ? [] : [template]
    throw new UserError(
      `${file}, line ${i + 1}: the template ${quoted(template)} has no place for the class name`,
      'write {c} where the name goes: "a photo of a {c}."',
    )
  })
}

function linesOf(bytes: Uint8Array, file: string, what: string): string[] {
  const lines = splitLines(decodeText(bytes, file)).map((line) => line.trim())
  while (lines.at(-1) === "") lines.pop()
  if (lines.length === 0) throw new UserError(`${file} is empty`, `${what} were expected, one a line`)
  if (lines.length > mostLines) throw new UserError(`${file} has ${lines.length} lines, more than ${mostLines}`)
  const long = lines.findIndex(({ length }) => length > longestLine)
  if (long < 0) return lines
  throw new UserError(`${file}, line ${long + 1} has ${lines[long]!.length} letters, more than ${longestLine}`)
}
