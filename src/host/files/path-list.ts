/** Lists that people bring, in a file or on standard input: paths, as `find` prints them, and lines of text. */
import { constants } from "node:buffer"
import { UserError } from "../../core/errors.ts"
import { decodeText, textLines } from "../../core/text/decode-text.ts"
import { readBytes, requireSmall } from "./files.ts"

/** What stands for standard input where a file is named. */
export const standardInput = "-"

type Input = AsyncIterable<Uint8Array | string>

/** What a text can hold: some five million paths, all of which are held in memory. */
const largestList = constants.MAX_STRING_LENGTH

/**
 * One path a line, or a NUL after each (`find -print0`), by whether there is a NUL. Blank lines are passed over.
 *
 * @param from a file, or "-" for `input`
 * @throws UserError where it cannot be read, is not text, or names nothing
 */
export async function readPathList(from: string, input: Input = process.stdin): Promise<string[]> {
  const { text, name } = await readList(from, input)
  const paths = (text.includes("\0") ? text.split("\0") : textLines(text)).filter((path) => path !== "")
  if (paths.length > 0) return paths
  throw new UserError(`${name} names no files`, "one path on each line was expected")
}

/** The lines of a text; a line break at its end begins no further one. Throws UserError as `readPathList` does. */
export async function readLines(from: string, input: Input = process.stdin): Promise<string[]> {
  const { text, name } = await readList(from, input)
  const lines = textLines(text)
  if (lines.at(-1) === "") lines.pop()
  if (lines.length > 0) return lines
  throw new UserError(`${name} is empty`, "one text on each line was expected")
}

async function readList(from: string, input: Input): Promise<{ text: string; name: string }> {
  if (from !== standardInput)
    return { text: decodeText(await readBytes(from, requireSmall(from, largestList)), from), name: from }
  const name = "standard input"
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of input) {
    parts.push(typeof part === "string" ? Buffer.from(part) : part)
    bytes += part.length
    requireSmall(name, largestList)(bytes)
  }
  return { text: decodeText(Buffer.concat(parts), name), name }
}
