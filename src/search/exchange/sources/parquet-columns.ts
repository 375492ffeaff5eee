/** Columns of texts of a parquet file, a row group in memory at a time. */
import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { decompress as unzstd } from "fzstd"
import type { AsyncBuffer, Compressors, FileMetaData, RowGroup, SchemaElement, SchemaTree } from "hyparquet"
import { messageOf, oneLine, UserError } from "../../../core/errors.ts"
import { type OpenFile, openRandomAccess } from "../../../host/files/files.ts"
import { listed } from "../../../host/files/folder.ts"
import { checkPages } from "./parquet-pages.ts"

/** Texts of some rows by the names of their columns; null where there is none. */
export type TextColumns = Readonly<Record<string, readonly (string | null)[]>>

export interface ParquetColumns extends Disposable {
  readonly rows: number
  /** Names of columns that hold texts. */
  readonly names: readonly string[]
  /** The rows of each row group, in order. Throws UserError where the file is damaged. */
  read(names: readonly string[]): AsyncGenerator<{ readonly rows: number; readonly columns: TextColumns }>
}

/** Rows of a group that are taken: they are in memory at once. Writers make groups of a million at most. */
const mostRows = 2 ** 24

/** Snappy is the library's own. */
const compressors: Compressors = {
  GZIP: (input, maxOutputLength) => gunzipSync(input, { maxOutputLength }),
  BROTLI: (input, maxOutputLength) => brotliDecompressSync(input, { maxOutputLength }),
  ZSTD: (input, outputLength) => unzstd(input, new Uint8Array(outputLength)),
}

/** Throws UserError where the file is not parquet, or is damaged. */
export async function openParquet(path: string): Promise<ParquetColumns> {
  const file = openRandomAccess(path)
  try {
    const opened = await explained(path, () => readMetadata(file))
    const read = (wanted: readonly string[]) => rowGroups(opened, wanted)
    const rows = opened.metadata.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0)
    return { rows, names: opened.columns.map(({ name }) => name), read, [Symbol.dispose]: () => file.close() }
  } catch (error) {
    file.close()
    throw error
  }
}

interface Opened {
  readonly file: OpenFile
  readonly metadata: FileMetaData
  readonly columns: readonly SchemaElement[]
}

async function readMetadata(file: OpenFile): Promise<Opened> {
  const { parquetMetadataAsync, parquetSchema } = await import("hyparquet")
  const metadata = await parquetMetadataAsync(asyncBuffer(file), { geoparquet: false })
  for (const { num_rows } of metadata.row_groups) {
    if (!(num_rows >= 0n && num_rows <= mostRows)) throw new Error(`a row group has ${num_rows} rows`)
  }
  return { file, metadata, columns: textColumns(metadata, parquetSchema) }
}

function asyncBuffer(file: OpenFile): AsyncBuffer {
  return { byteLength: file.size, slice: async (start, end = file.size) => slice(file, start, end) }
}

function slice(file: OpenFile, start: number, end: number): ArrayBuffer {
  if (!(start >= 0 && start <= end && end <= file.size)) throw new Error(`bytes ${start} to ${end} are not in the file`)
  return file.read(start, end - start).slice().buffer
}

/** Flat columns of byte arrays, which are read as UTF-8. */
function textColumns(metadata: FileMetaData, columnsOf: (metadata: FileMetaData) => SchemaTree): SchemaElement[] {
  const isText = ({ children, element }: SchemaTree) =>
    children.length === 0 &&
    element.type === "BYTE_ARRAY" &&
    element.repetition_type !== "REPEATED" &&
    typeof element.name === "string"
  return columnsOf(metadata).children.flatMap((column) => (isText(column) ? [column.element] : []))
}

async function* rowGroups(opened: Opened, names: readonly string[]) {
  let start = 0
  for (const group of opened.metadata.row_groups) {
    const rows = Number(group.num_rows)
    const from = start
    start += rows
    if (rows === 0) continue
    const columns: Record<string, (string | null)[]> = {}
    for (const name of names) {
      columns[name] = await explained(opened.file.name, async () => {
        await checkColumn(opened, group, name)
        return readColumn(opened, name, from, rows)
      })
    }
    yield { rows, columns }
  }
}

async function checkColumn({ file, columns }: Opened, group: RowGroup, name: string): Promise<void> {
  const element = columns.find((column) => column.name === name)
  const chunks = group.columns.filter(({ meta_data }) => meta_data?.path_in_schema.join(".") === name)
  const column = chunks[0]?.meta_data
  if (!element || !column || chunks.length !== 1 || chunks[0]!.file_path) throw new Error(`column ${name} is not in it`)
  if (column.type !== "BYTE_ARRAY") throw new Error(`column ${name} has two types`)
  const start = Number(column.dictionary_page_offset || column.data_page_offset)
  const bytes = slice(file, start, start + Number(column.total_compressed_size))
  await checkPages({
    ...{ bytes: new Uint8Array(bytes), metadata: column, rows: Number(group.num_rows), compressors, name: file.name },
    isRequired: element.repetition_type === "REQUIRED",
  })
}

async function readColumn({ file, metadata }: Opened, name: string, rowStart: number, rows: number) {
  const { parquetReadColumn } = await import("hyparquet/src/read.js")
  const where = { file: asyncBuffer(file), metadata, columns: [name], rowStart, rowEnd: rowStart + rows }
  const values = await parquetReadColumn({ ...where, compressors, geoparquet: false })
  if (values.length !== rows) throw new Error(`column ${name} has ${values.length} of ${rows} rows`)
  return Array.from(values, (value) => (typeof value === "string" ? value : null))
}

/** The decoder's errors are of many kinds, and all of them say that the file is not what it should be. */
async function explained<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(
      `${path} cannot be read as a parquet file: ${oneLine(messageOf(error), 200)}`,
      'copy or make it again; pandas writes one that is read: table.to_parquet("FILE")',
      { cause: error },
    )
  }
}

/** The first of the names that is a column; throws UserError that lists the columns where none is. */
export function chooseColumn(path: string, names: readonly string[], wanted: readonly string[]): string {
  const found = wanted.find((name) => names.includes(name))
  if (found !== undefined) return found
  throw new UserError(
    `${path} has no column ${wanted.join(", ")}; its columns of texts are ${listed(names) || "none"}`,
    "name the one that holds the pictures' paths: --path-column NAME",
  )
}
