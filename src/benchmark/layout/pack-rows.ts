/** The pictures that are packed, with what is known of each: from a folder, or from a list. */
import { join, sep } from "node:path"
import { quoted, UserError } from "../../core/errors.ts"
import { noProgress, ofLongWork, type StartProgress } from "../../core/progress.ts"
import { pathOf } from "../../data/stores/local.ts"
import type { SampleList, SampleLocation } from "../../data/training/sources/location.ts"
import { openList } from "../../data/training/sources/open-source.ts"
import { detectFormat } from "../../data/training/sources/source.ts"
import { splitsOf } from "../../data/training/sources/splits.ts"
import { requirePictures } from "../../host/image/image-files.ts"
import { walkPictures } from "../../host/image/picture-folder.ts"
import { inTurns, TurnClock } from "../../host/turns.ts"

export interface PackSource {
  /** A folder with class folders, or with captions beside pictures (`x.jpg`, `x.txt`); a CSV, TSV or JSONL file. */
  readonly source: string
  /** Columns of a list. */
  readonly imageColumn?: string
  readonly captionColumn?: string
  /** With it, a list is of classes, and else of captions. */
  readonly classColumn?: string
  readonly groupColumns?: readonly string[]
  readonly separator?: string
  /** Is shown the reading of a list that takes some seconds. */
  readonly startProgress?: StartProgress
  readonly signal?: AbortSignal
}

export interface Row {
  readonly path: string
  /** Null in retrieval; empty where a list does not say. */
  readonly className: string | null
  readonly captions: Extract<SampleLocation, { kind: "file" }>["captions"]
  /** By column; empty where a list does not say. */
  readonly groups: readonly string[]
}

export interface Rows {
  readonly kind: "classification" | "retrieval"
  readonly rows: readonly Row[]
  readonly groupColumns: readonly string[]
  readonly notes: readonly string[]
}

/** Throws UserError where the source does not exist, or says nothing of its pictures, and the signal's reason. */
export async function rowsOf(source: PackSource): Promise<Rows> {
  const format = await formatOf(source)
  if (format !== "folder") return listRows(source, format)
  const named = [source.classColumn, source.captionColumn, source.imageColumn, ...(source.groupColumns ?? [])]
  if (named.some((column) => column !== undefined))
    throw new UserError(
      `${source.source} is a folder, which has no columns`,
      "write a CSV file with columns, and pack that",
    )
  return folderRows(pathOf(source.source))
}

async function formatOf({ source, imageColumn }: PackSource): Promise<"folder" | "csv" | "jsonl"> {
  const format = await detectFormat(source)
  if (format === "folder" || format === "csv" || format === "jsonl") return format
  if (imageColumn !== undefined && /\.(jsonl?|ndjson)$/i.test(source)) return "jsonl"
  throw new UserError(
    `${source} is not a folder of pictures or a list of them`,
    "a folder, a CSV, TSV or JSONL file is packed; --image-column names the pictures of a list",
  )
}

// ------------------------------------------------------------------------------------------------------- a folder

async function folderRows(folder: string): Promise<Rows> {
  const { pictures, others, folders, notes } = await walkPictures(folder)
  requirePictures(folder, pictures, notes)
  const common = { notes, groupColumns: [] }
  if (pictures.some((name) => others.has(captionFile(name)))) {
    const captionsOf = (name: string) =>
      others.has(captionFile(name)) ? { file: join(folder, captionFile(name)) } : []
    const row = (name: string): Row => ({
      ...{ path: join(folder, name), className: null, captions: captionsOf(name), groups: [] },
    })
    return { ...common, kind: "retrieval", rows: pictures.map(row) }
  }
  requireClasses(folder, pictures, folders, notes)
  const row = (name: string): Row => ({
    ...{ path: join(folder, name), className: labelText(classFolder(name)), captions: [], groups: [] },
  })
  return { ...common, kind: "classification", rows: pictures.map(row) }
}

function captionFile(name: string): string {
  return name.replace(/\.[^.]+$/, ".txt")
}

function requireClasses(
  folder: string,
  pictures: readonly string[],
  folders: readonly string[],
  notes: readonly string[],
): void {
  const loose = pictures.find((name) => !name.includes(sep))
  if (loose !== undefined)
    throw new UserError(
      `${join(folder, loose)} has no caption and is in no class folder`,
      "put the pictures into a folder for each class, or write their captions beside them, a .txt file for each",
    )
  const splits = splitsOf(pictures)
  if (splits)
    throw new UserError(
      `${folder} holds parts of the data, not classes`,
      `pack one of them: ${join(folder, splits.names.at(-1)!)}`,
    )
  const filled = new Set(pictures.map(classFolder))
  const first = new Map<string, string>()
  for (const name of folders) {
    if (!filled.has(name)) requirePictures(join(folder, name), [], notes)
    const label = labelText(name)
    if (label === "") throw new UserError(`the folder ${quoted(name)} is not a class's name`, "rename it")
    if (first.has(label))
      throw new UserError(
        `the folders ${quoted(first.get(label)!)} and ${quoted(name)} are both the class ${quoted(label)}`,
      )
    first.set(label, name)
  }
}

function classFolder(picture: string): string {
  return picture.slice(0, picture.indexOf(sep))
}

/** A folder's name as words: `hot_dog` is "hot dog". */
function labelText(folder: string): string {
  return folder.replaceAll("_", " ").trim()
}

// --------------------------------------------------------------------------------------------------------- a list

async function listRows(source: PackSource, format: "csv" | "jsonl"): Promise<Rows> {
  const { classColumn, groupColumns = [] } = source
  const list = await openRows(source, format, groupColumns.length > 0)
  const rows = await readRows(list, source)
  const common = { notes: list.notes ?? [], groupColumns }
  if (classColumn !== undefined) return { ...common, kind: "classification", rows }
  return { ...common, kind: "retrieval", rows: await inTurns(joinPictures(rows, source)) }
}

async function readRows(list: SampleList, source: PackSource): Promise<Row[]> {
  try {
    return await inTurns(rowsIn(list, source))
  } finally {
    list.close?.()
  }
}

/** Most lists are read by then. */
const secondsUnshown = 5

function* rowsIn(list: SampleList, source: PackSource): Generator<void, Row[]> {
  const start = ofLongWork(source.startProgress ?? noProgress, secondsUnshown)
  const shown = start(`reading ${source.source}`, list.count, { unit: "rows" })
  const rows: Row[] = []
  const clock = new TurnClock()
  for (let i = 0; i < list.count; i++) {
    rows.push(rowOf(list, i, source))
    if (!clock.isOver()) continue
    shown.update(i + 1)
    yield
    source.signal?.throwIfAborted()
  }
  shown.done()
  return rows
}

async function openRows(source: PackSource, format: "csv" | "jsonl", fields: boolean): Promise<SampleList> {
  const { imageColumn, captionColumn, classColumn, separator, startProgress, signal } = source
  const column = classColumn ?? captionColumn
  const options = {
    ...(imageColumn !== undefined && { imageColumn }),
    ...(column !== undefined && { captionColumn: column }),
    ...(separator !== undefined && { separator }),
    ...(startProgress && { startProgress }),
    ...(signal && { signal }),
  }
  try {
    return await openList(source.source, format, { ...options, fields })
  } catch (error) {
    // Other commands, which know no classes, have other options.
    if (!(error instanceof UserError) || !error.hint?.includes("--caption-column")) throw error
    const hint = "name the columns: --image-column, and --class-column or --caption-column"
    throw new UserError(error.message, hint, { cause: error })
  }
}

function rowOf(list: SampleList, i: number, { source, classColumn, groupColumns = [] }: PackSource): Row {
  const location = list.location(i)
  if (location.kind !== "file") throw new Error(`a list names files, not a ${location.kind}`)
  const fields = groupColumns.length > 0 ? list.fields!(i) : {}
  const groups = groupColumns.map((column) => groupText(fields, column, source))
  const { path, captions } = location
  if (classColumn === undefined) return { path, className: null, captions, groups }
  return { path, className: "file" in captions ? "" : (captions[0] ?? "").trim(), captions: [], groups }
}

function groupText(fields: Readonly<Record<string, unknown>>, column: string, source: string): string {
  const value = fields[column]
  if (value === undefined) {
    const others = Object.keys(fields).filter((name) => name !== "path")
    const names = others.length === 0 ? "none" : others.slice(0, 20).map(quoted).join(", ")
    throw new UserError(
      `${source} has no column ${quoted(column)} for groups, only ${names}`,
      "--group-column names it",
    )
  }
  return value === null ? "" : String(value).trim()
}

/** Rows with the same picture are one sample with several captions, at the place of the first. */
function* joinPictures(
  rows: readonly Row[],
  { source, groupColumns = [], signal }: PackSource,
): Generator<void, Row[]> {
  const joined = new Map<string, Row & { readonly captions: string[] }>()
  const clock = new TurnClock()
  for (const row of rows) {
    const first = joined.get(row.path)
    if (first) requireSameGroups(first, row, source, groupColumns)
    if (first) for (const caption of textsOf(row)) first.captions.push(caption)
    else joined.set(row.path, { ...row, captions: [...textsOf(row)] })
    if (!clock.isOver()) continue
    yield
    signal?.throwIfAborted()
  }
  return [...joined.values()]
}

function requireSameGroups(first: Row, row: Row, source: string, columns: readonly string[]): void {
  const other = columns.findIndex((_, i) => first.groups[i] !== row.groups[i])
  if (other < 0) return
  throw new UserError(
    `${source}: ${row.path} is both ${quoted(first.groups[other]!)} and ${quoted(row.groups[other]!)}`,
  )
}

function textsOf({ captions }: Row): readonly string[] {
  return "file" in captions ? [] : captions
}
