/** What an index has, how far it is, and who writes it: while another process writes, and from a read-only folder. */
import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import { lockName, readHolder } from "../../host/locks/lock-file.ts"
import { type FolderPatterns, patternsWithin } from "../indexing/left-out.ts"
import { codedRows } from "../scan/codes.ts"
import { measureRecall, type Recall } from "../scan/recall.ts"
import { openScanner } from "../scan/scanner.ts"
import { databaseFile, type Generation, IndexStore } from "../store/index-store.ts"
import { rowsInFile, vectorOffset } from "../store/vector-file.ts"
import { captionsOf } from "./codes.ts"

export interface StatusOptions {
  /** Measures what binary codes find, which takes some seconds. */
  readonly recall?: boolean | undefined
}

export interface IndexStatus {
  readonly folder: string
  /** Different bytes that a file has, all files, and those beyond the first of each. */
  readonly pictures: number
  readonly files: number
  readonly copies: number
  /** Rows whose files are all gone: `compactIndex` removes them. */
  readonly unused: number
  /** The most frequent reason first. */
  readonly failures: readonly { readonly reason: string; readonly count: number; readonly example: string }[]
  /** Each file that could not be read, by path. */
  readonly failed: readonly FailedPicture[]
  readonly excluded: number
  readonly roots: readonly IndexedRoot[]
  /** Null: nothing was indexed yet. */
  readonly active: Generation | null
  /** A migration: rows that have a vector, of all. */
  readonly building: (Generation & { readonly rows: number; readonly total: number }) | null
  /** Files of vectors that are not there: `verifyIndex` makes them again. */
  readonly missing: readonly string[]
  /** In bytes; a database's log counts with it. */
  readonly sizes: { readonly database: number; readonly vectors: number; readonly codes: number }
  readonly background: { readonly prompts: number; readonly pictures: number }
  /** What codes find of pictures that are drawn, and of generic captions; these did not choose the number of candidates. */
  readonly codes: { readonly rows: number; readonly recall: Recall | null; readonly textRecall: Recall | null }
  readonly writer: {
    readonly command: string
    readonly pid: number
    readonly host: string
    readonly since: string
  } | null
}

export interface FailedPicture {
  readonly path: string
  readonly reason: string
  readonly attempts: number
  /** When the last one was, ISO 8601. */
  readonly at: string
}

export interface IndexedRoot {
  readonly path: string
  readonly isThere: boolean
  /** When all of it was last looked at, ISO 8601; null: never. */
  readonly walked: string | null
  /** Patterns of what is left out of it. */
  readonly exclude: readonly string[]
  /** Folders in it that have patterns of their own. */
  readonly within: readonly FolderPatterns[]
}

/** Throws UserError where there is no index, or it is damaged. */
export async function indexStatus(folder: string, { recall = false }: StatusOptions = {}): Promise<IndexStatus> {
  using store = IndexStore.open(folder)
  const state = store.reading(() => ({ ...countsOf(store), total: store.count, generations: store.generations() }))
  const { total, generations, ...counts } = state
  const active = generations.find(({ state }) => state === "active") ?? null
  const building = generations.find(({ state }) => state === "building") ?? null
  return {
    folder: store.folder,
    ...counts,
    active,
    building: building && { ...building, rows: rowsWithVector(store, building, total), total },
    missing: total > 0 && active && isMissing(store, active) ? [store.vectorsPath(active)] : [],
    sizes: sizesOf(store, generations),
    background: backgroundOf(store, active),
    codes: {
      rows: active ? codedRows(store.codesPath(active)) : 0,
      ...(recall && active ? await recallOf(store, active, total) : { recall: null, textRecall: null }),
    },
    writer: await writerOf(store.folder),
  }
}

/** A writer that puts another generation in its place takes it out of the database first, and then removes its file. */
function isMissing(store: IndexStore, generation: Generation): boolean {
  return !existsSync(store.vectorsPath(generation)) && store.hasGeneration(generation)
}

function countsOf(store: IndexStore) {
  const count = (sql: string) => Number(store.row(sql)!.count)
  const pictures = count("SELECT count(*) AS count FROM contents WHERE copies > 0")
  const files = count("SELECT count(*) AS count FROM files")
  return {
    ...{ pictures, files, copies: files - pictures },
    unused: count("SELECT count(*) AS count FROM contents WHERE copies = 0"),
    ...failuresOf(store),
    excluded: count("SELECT count(*) AS count FROM excluded"),
    roots: store
      .rows("SELECT path, walked FROM roots ORDER BY path")
      .map(({ path, walked }) => rootOf(store, String(path), walked as string | null)),
  }
}

function rootOf(store: IndexStore, path: string, walked: string | null): IndexedRoot {
  const patterns = patternsWithin(store, path)
  return {
    ...{ path, isThere: existsSync(path), walked },
    exclude: patterns.find((each) => each.path === path)?.exclude ?? [],
    within: patterns.filter((each) => each.path !== path),
  }
}

/** Reasons name their file: without it, equal ones are counted together. */
function failuresOf(store: IndexStore): Pick<IndexStatus, "failures" | "failed"> {
  const failed = store
    .rows(
      `SELECT roots.path AS root, failures.path AS path, reason, attempts, at FROM failures JOIN roots ON roots.id = root
       ORDER BY roots.path, failures.path`,
    )
    .map(({ root, path, reason, attempts, at }) => ({
      ...{ path: join(root as string, path as string), reason: reason as string },
      ...{ attempts: Number(attempts), at: at as string },
    }))
  const found = new Map<string, { reason: string; count: number; example: string }>()
  for (const { path: example, reason: whole } of failed) {
    const reason = whole.replaceAll(example, "").replace(/^[\s:]+/, "")
    const before = found.get(reason)
    if (before) before.count++
    else found.set(reason, { reason, count: 1, example })
  }
  return { failed, failures: [...found.values()].sort((a, b) => b.count - a.count) }
}

/** How far a migration is: rows that are not there yet have no vector either. */
function rowsWithVector(store: IndexStore, generation: Generation, total: number): number {
  const path = store.vectorsPath(generation)
  const rows = existsSync(path) ? Math.min(total, rowsInFile(path, generation.dim)) : 0
  return rows - store.withoutVector(generation).size
}

function sizesOf(store: IndexStore, generations: readonly Generation[]): IndexStatus["sizes"] {
  const size = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0
  const sum = (paths: readonly string[]) => paths.reduce((total, path) => total + size(path), 0)
  const database = join(store.folder, databaseFile)
  return {
    database: sum([database, `${database}-wal`]),
    vectors: sum(generations.map((each) => store.vectorsPath(each))),
    codes: sum(generations.map((each) => store.codesPath(each))),
  }
}

function backgroundOf(store: IndexStore, active: Generation | null): IndexStatus["background"] {
  const count = (kind: string) =>
    Number(
      store.row("SELECT count(*) AS count FROM background WHERE generation = ? AND kind = ?", active?.id ?? 0, kind)!
        .count,
    )
  return { prompts: count("prompt"), pictures: count("picture") }
}

/** Another one than that of the rows by which the number of candidates was chosen. */
const otherSeed = 2

async function recallOf(store: IndexStore, active: Generation, count: number) {
  const codes = store.codesPath(active)
  const scanner = openScanner(store.vectorsPath(active), { dim: active.dim, offset: vectorOffset, codes })
  try {
    const recall = await measureRecall(scanner, { count, seed: otherSeed })
    return { recall, textRecall: await measureRecall(scanner, { count, queries: captionsOf(store, active, 1) }) }
  } finally {
    scanner.close()
  }
}

async function writerOf(folder: string): Promise<IndexStatus["writer"]> {
  const holder = await readHolder(join(folder, lockName))
  if (!holder?.record || holder.state === "gone") return null
  const { command, pid, host, since } = holder.record
  return { command, pid, host, since }
}
