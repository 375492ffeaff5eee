/**
 * The rows of chosen tables in a plain SQL dump of PostgreSQL (`pg_dump`, `pg_dumpall`), as it is or compressed, one at a time.
 * Tables are COPY blocks in text format (PostgreSQL's manual, COPY): fields between tabs, `\N` for null, escapes by backslash.
 */
import { oneLine, UserError } from "../../../core/errors.ts"
import { linesOf } from "./jsonl.ts"

export interface DumpedRow {
  /** Without its schema and quotes. */
  readonly table: string
  /** By the names of the columns. */
  readonly fields: Readonly<Record<string, string | null>>
}

/** Columns that are read, by table. */
export type WantedColumns = Readonly<Record<string, readonly string[]>>

const copyLine = /^COPY (?:(?:"[^"]+"|\w+)\.)?("[^"]+"|\w+) \((.*)\) FROM stdin;$/

/** Throws UserError where the dump is damaged or cut off. */
export async function* dumpedRows(path: string, wanted: WantedColumns): AsyncGenerator<DumpedRow> {
  let block: Block | null = null
  let isComplete = false
  for await (const { text, number } of linesOf(path)) {
    if (block !== null) {
      if (text === "\\.") block = null
      else if (block.columns !== null) yield rowOf(text, block, `${path}, line ${number}`)
    } else if (text?.startsWith("COPY ")) block = blockOf(text, wanted)
    else if (text?.startsWith("-- PostgreSQL database dump complete")) isComplete = true
  }
  if (block === null && isComplete) return
  throw new UserError(
    `${path} is cut off${block ? ` in table ${block.table}` : ": it has no end"}`,
    "copy or make the backup again",
  )
}

interface Block {
  readonly table: string
  /** Names of the wanted columns by their places; null: none are wanted. */
  readonly columns: ReadonlyMap<number, string> | null
  readonly width: number
}

/** Null where it only looks like the beginning of a block: in the body of a function. */
function blockOf(line: string, wanted: WantedColumns): Block | null {
  const [, table, list] = copyLine.exec(line) ?? []
  if (table === undefined) return null
  const names = [...list!.matchAll(/"((?:[^"]|"")+)"|[^\s,"]+/g)].map(
    ([all, quoted]) => quoted?.replaceAll('""', '"') ?? all,
  )
  const name = table.replaceAll('"', "")
  const columns = Object.hasOwn(wanted, name) ? wanted[name]! : null
  const places =
    columns && new Map(names.flatMap((column, at) => (columns.includes(column) ? [[at, column] as const] : [])))
  return { table: name, columns: places, width: names.length }
}

function rowOf(text: string | null, { table, columns, width }: Block, where: string): DumpedRow {
  const parts = text?.split("\t")
  if (parts?.length !== width) {
    const found = parts ? `${parts.length} fields` : "what is not text"
    throw new UserError(
      `${where}: ${found} in table ${oneLine(table)} of ${width} columns`,
      "copy or make the backup again",
    )
  }
  const fields: Record<string, string | null> = {}
  for (const [at, name] of columns!) fields[name] = unescaped(parts[at]!)
  return { table, fields }
}

const escapes: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" }

function unescaped(field: string): string | null {
  if (field === "\\N") return null
  if (!field.includes("\\")) return field
  return field.replaceAll(/\\(.)/g, (_, letter: string) => escapes[letter] ?? letter)
}
