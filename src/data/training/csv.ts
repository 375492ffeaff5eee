/** Pictures and captions in columns of a CSV or TSV file with a head line, as open_clip's `--csv-*` options name them. */
import { dsvFormat } from "d3-dsv"
import { quoted, UserError } from "../../core/errors.ts"
import { nearestNames } from "../../core/nearest.ts"
import { readBytes } from "../../host/files.ts"
import { listPairs, type Pair } from "./pairs.ts"
import type { SampleList } from "./place.ts"

export interface CsvOptions {
  readonly imageColumn?: string
  readonly captionColumn?: string
  readonly separator?: string
}

const separators = ["\t", ",", ";", "|"]

/** Paths are relative to the file's folder. Throws UserError on a column that is not there and a row without its cells. */
export async function listCsv(path: string, options: CsvOptions): Promise<SampleList> {
  const text = new TextDecoder().decode(await readBytes(path))
  const separator = options.separator ?? findSeparator(text)
  const [head = [], ...rows] = dsvFormat(separator).parseRows(text.replace(/[\r\n]+$/, ""))
  const names = head.map((name) => name.trim())
  const image = columnOf(path, names, options.imageColumn ?? "filepath", "imageColumn")
  const caption = columnOf(path, names, options.captionColumn ?? "title", "captionColumn")
  const pairs = rows.map((cells, i): Pair => {
    if (cells.length === names.length) return { image: cells[image]!, captions: [cells[caption]!] }
    const found = `${cells.length} cells, and the head has ${names.length}`
    throw new UserError(
      `${path}, row ${i + 2} has ${found}`,
      "quote cells that hold the separator, or name another one",
    )
  })
  if (pairs.length === 0) throw new UserError(`${path} has no rows below its head`)
  return listPairs(path, pairs)
}

/** The one that is most often in the first line. */
export function findSeparator(text: string): string {
  const line = text.slice(0, text.search(/[\r\n]|$/))
  const count = (separator: string) => line.split(separator).length
  return separators.reduce((best, next) => (count(next) > count(best) ? next : best))
}

/** How the commands call them. */
const flagOf = {
  imageColumn: "--csv-img-key (finetune: --image-column)",
  captionColumn: "--csv-caption-key (finetune: --caption-column)",
} as const

function columnOf(path: string, names: readonly string[], name: string, option: keyof typeof flagOf): number {
  const index = names.indexOf(name)
  if (index >= 0) return index
  throw new UserError(
    `${path} has no column ${quoted(name)}, only ${names.map(quoted).join(", ")}`,
    `name it with ${flagOf[option]}${names.length > 0 ? `; the nearest is ${quoted(nearestNames(name, names, 1)[0]!)}` : ""}`,
  )
}
