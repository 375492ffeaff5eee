/** Samples of a JSONL shard, and what is wrong with the other lines. */
import { isInputError, messageOf, oneLine, UserError } from "../../../core/errors.ts"
import { isObject } from "../../../core/json.ts"
import { parseExactJson } from "../../json-text.ts"
import type { Problem, ReinforcedSample } from "../sample.ts"
import { keyText, sampleOfRecord } from "./json-record.ts"
import { type Compression, type Line, readLines } from "./lines.ts"

type Report = (problem: Problem) => void

/** Problems that are kept at most, because those of a file of short damaged lines would fill the memory. */
const mostProblems = 10_000

/** Throws UserError where no line holds a sample, or most of many lines are damaged. */
export async function* readJsonl(
  path: string,
  compression: Compression,
  report: Report,
): AsyncGenerator<ReinforcedSample> {
  const seen = new Set<string>()
  let first: string | null = null
  let problems = 0
  const drop = (problem: Omit<Problem, "action">) => {
    first ??= problem.reason
    report({ ...problem, action: "dropped" })
    if (++problems > Math.max(mostProblems, seen.size)) throw mostlyDamaged(path, problems, first)
  }
  for await (const line of linesOf(path, compression, drop)) {
    if (line.text?.trim() === "") continue
    const sample = parseLine(line, report)
    if ("reason" in sample) {
      drop(sample)
      continue
    }
    if (seen.has(sample.key)) {
      drop({ key: sample.key, reason: `line ${line.number}: the key occurs twice; the first one stays` })
      continue
    }
    seen.add(sample.key)
    yield sample
  }
  if (seen.size > 0) return
  throw new UserError(
    `${path} holds no samples${first === null ? "" : ` (${first})`}`,
    "JSON objects were expected, one a line",
  )
}

function mostlyDamaged(path: string, problems: number, first: string): UserError {
  return new UserError(
    `${path}: ${problems} lines, more than hold samples, are damaged (${first})`,
    "write the shard again",
  )
}

/** The lines; ends where the compressed data are damaged. */
async function* linesOf(
  path: string,
  compression: Compression,
  drop: (problem: Omit<Problem, "action">) => void,
): AsyncGenerator<Line> {
  let number = 0
  try {
    for await (const line of readLines(path, compression)) {
      number = line.number
      yield line
    }
  } catch (error) {
    if (!isInputError(error)) throw error
    drop({ key: null, reason: `after line ${number}: ${oneLine(error.message, 200)}` })
  }
}

/** The sample, or what is wrong with the line. */
function parseLine(line: Line, report: Report): ReinforcedSample | Omit<Problem, "action"> {
  const { number, bytes } = line
  const record = line.text === null ? null : parseJson(line.text)
  const key = isObject(record) ? keyText(record.uid) : null
  try {
    if (line.text === null) throw new UserError(line.problem)
    if (record instanceof UserError) throw record
    if (record instanceof Error) throw new UserError(`not JSON (${messageOf(record)})`)
    if (!isObject(record)) throw new UserError("not an object")
    const kept = (reason: string) => report({ key, reason: `line ${number}: ${reason}`, action: "kept" })
    return sampleOfRecord(record, bytes, kept)
  } catch (error) {
    if (!isInputError(error)) throw error
    return { key, reason: `line ${number}: ${oneLine(error.message, 400)}` }
  }
}

/** The value, or the error where the text is not JSON. */
function parseJson(text: string): unknown {
  try {
    return parseExactJson(text)
  } catch (error) {
    return error
  }
}
