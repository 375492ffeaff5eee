/** tokenizer.json: ids, length before cutting, repaired, cleaned and decoded text of every case. */
import { readFileSync } from "node:fs"
import { fixText } from "../../src/core/text/fix-text.ts"
import { cleanText, endOfText, startOfText, Tokenizer } from "../../src/core/text/tokenizer.ts"
import { type Check, exact, mismatches } from "./check.ts"

interface TokenizerFile {
  context_length: number
  sot: number
  eot: number
  cases: Case[]
}

interface Case {
  text: string
  /** Through the last id that is not 0. */
  ids: number[]
  full_length: number
  truncated: boolean
  /** What ftfy gives. */
  fixed?: string | null
  cleaned?: string | null
  decoded?: string | null
}

export function* checkTokenizer(path: string): Iterable<Check> {
  const { cases, context_length: contextLength, sot, eot }: TokenizerFile = JSON.parse(readFileSync(path, "utf8"))
  const tokenizer = new Tokenizer()
  const count = (what: string, differs: (item: Case) => boolean) =>
    mismatches(`${what} of ${cases.length} texts`, cases.filter(differs).length)

  yield exact("start and end of text", sot === startOfText && eot === endOfText)
  yield count("ids", ({ text, ids }) => !sameIds(tokenizer.encodeBatch([text], contextLength).ids, ids))
  yield count("lengths before cutting", ({ text, full_length, truncated }) => {
    const { length } = tokenizer.encode(text)
    return length !== full_length || length > contextLength !== truncated
  })
  yield count("repaired text", ({ text, fixed }) => (fixed ?? fixText(text)) !== fixText(text))
  yield count("cleaned text", ({ text, cleaned }) => (cleaned ?? cleanText(text)) !== cleanText(text))
  yield count("decoded text", ({ ids, decoded }) => (decoded ?? tokenizer.decode(ids)) !== tokenizer.decode(ids))
}

function sameIds(row: BigInt64Array, ids: readonly number[]): boolean {
  return row.every((id, i) => Number(id) === (ids[i] ?? 0))
}
