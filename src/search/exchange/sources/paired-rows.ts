/**
 * Vectors in `.npy` and what they are of in parquet, row for row: a pair of files, or clip-retrieval's folder of them
 * (rom1504/clip-retrieval, `clip_inference`; `mobileclip embed` writes it too).
 */
import { existsSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { z } from "zod"
import { UserError } from "../../../core/errors.ts"
import { embedFormat, settingsFile } from "../../../embed/settings.ts"
import { fileError } from "../../../host/files/file-error.ts"
import { readJson } from "../../../host/files/files.ts"
import { exportedModelIn } from "../export/write-export.ts"
import { jsonlPictures } from "./jsonl.ts"
import { openNpyRows } from "./npy-rows.ts"
import { chooseColumn, openParquet, type TextColumns } from "./parquet-columns.ts"
import { captionNames, type ImportedPicture, type ImportSource, pathNames, type SourceModel } from "./source.ts"

interface Pair {
  readonly vectors: string
  readonly table: string
}

/** Rows whose vectors are in memory at a time. */
const rowsAtOnce = 4096

/** @param pathColumn default: the first of the usual names that is there */
export async function openPair(pair: Pair, pathColumn?: string): Promise<ImportSource> {
  return openPairs("npy", pair.vectors, [pair], null, pathColumn)
}

/** Throws UserError where the folder is not laid out so, or parts of it are missing. */
export async function openClipRetrieval(folder: string, pathColumn?: string): Promise<ImportSource> {
  const model = await modelOf(folder)
  const names = await namesIn(join(folder, "img_emb"))
  const lines = names.filter((name) => name.endsWith(".jsonl"))
  if (lines.length > 0) return openLines(folder, lines, model)
  const pairs = names.filter((name) => name.endsWith(".npy")).map((name) => pairOf(folder, name))
  if (pairs.length > 0) return openPairs("clip-retrieval", folder, pairs, model, pathColumn)
  throw new UserError(
    `${folder} has no img_emb/*.npy, and clip-retrieval's layout was expected`,
    "name the folder that holds img_emb and metadata",
  )
}

/** `img_emb/img_emb_07.npy` and `metadata/metadata_07.parquet`. */
function pairOf(folder: string, name: string): Pair {
  const part = /^img_emb_?(.*)\.npy$/.exec(name)?.[1]
  const table = join(folder, "metadata", `metadata_${part}.parquet`)
  if (part !== undefined && existsSync(table)) return { vectors: join(folder, "img_emb", name), table }
  throw new UserError(
    `${join(folder, "img_emb", name)} has no table of its pictures: ${table} is missing`,
    "copy the folder again, with metadata",
  )
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith(".")).sort(byNumber)
  } catch (error) {
    throw fileError(error, "reading", folder)
  }
}

const byNumber = new Intl.Collator("en", { numeric: true }).compare

const settings = z.object({
  format: z.literal(embedFormat),
  model: z.string(),
  identity: z.string(),
  reading: z.object({ orientation: z.enum(["apply", "ignore"]) }).nullable(),
})

/** Null where neither `mobileclip embed` nor an export of an index wrote the folder. */
async function modelOf(folder: string): Promise<SourceModel | null> {
  const exported = await exportedModelIn(folder)
  if (exported !== null) return exported
  const place = join(folder, settingsFile)
  if (!existsSync(place)) return null
  const found = settings.safeParse(await readJson(place, "the settings of a folder of vectors"))
  if (!found.success) return null
  const { model, identity, reading } = found.data
  return { name: model, identity, orientation: reading?.orientation ?? null }
}

async function openLines(folder: string, names: readonly string[], model: SourceModel | null): Promise<ImportSource> {
  const files = names.map((name) => join(folder, "img_emb", name))
  const source = await jsonlPictures(folder, files)
  return { ...source, kind: "clip-retrieval", model }
}

async function openPairs(
  kind: "clip-retrieval" | "npy",
  name: string,
  pairs: readonly Pair[],
  model: SourceModel | null,
  pathColumn?: string,
): Promise<ImportSource> {
  let [total, dim] = [0, 0]
  for (const { vectors, table } of pairs) {
    using matrix = openNpyRows(vectors)
    using columns = await openParquet(table)
    requireAlike(vectors, matrix.rows, table, columns.rows)
    if (dim !== 0 && matrix.dim !== dim)
      throw new UserError(`${vectors} has vectors of ${matrix.dim} values, and ${pairs[0]!.vectors} of ${dim}`)
    dim = matrix.dim
    total += matrix.rows
    chooseColumn(table, columns.names, pathColumn === undefined ? pathNames : [pathColumn])
  }
  const pictures = async function* () {
    for (const pair of pairs) yield* picturesOf(pair, pathColumn)
  }
  return { kind, name, dim, model, total, pictures, [Symbol.asyncDispose]: async () => {} }
}

function requireAlike(vectors: string, rows: number, table: string, others: number): void {
  if (rows === others) return
  throw new UserError(
    `${vectors} has ${rows} rows, and ${table} has ${others}: row for row they should be of the same pictures`,
    "copy or make both again",
  )
}

async function* picturesOf({ vectors, table }: Pair, pathColumn?: string): AsyncGenerator<ImportedPicture> {
  using matrix = openNpyRows(vectors)
  using columns = await openParquet(table)
  requireAlike(vectors, matrix.rows, table, columns.rows)
  const path = chooseColumn(table, columns.names, pathColumn === undefined ? pathNames : [pathColumn])
  const caption = captionNames.find((name) => columns.names.includes(name) && name !== path)
  let first = 0
  for await (const group of columns.read([...new Set([path, caption ?? path])])) {
    for (let from = 0; from < group.rows; from += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, group.rows - from)
      const values = matrix.read(first + from, count)
      for (let i = 0; i < count; i++) {
        const vector = values.slice(i * matrix.dim, (i + 1) * matrix.dim)
        yield {
          path: pathAt(group.columns, path, from + i, table),
          vector,
          caption: caption ? group.columns[caption]![from + i]! : null,
        }
      }
    }
    first += group.rows
  }
}

function pathAt(columns: TextColumns, name: string, row: number, table: string): string {
  const path = columns[name]![row]
  if (path) return path
  throw new UserError(
    `${table}: ${name} is empty in a row`,
    "name a column in which each row has a path: --path-column",
  )
}
