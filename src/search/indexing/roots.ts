/** The folders of an index. None lies in another one, so that no file is indexed twice. */
import { existsSync, statSync } from "node:fs"
import { join, relative, resolve, sep } from "node:path"
import { UserError } from "../../core/errors.ts"
import { databaseFile, IndexStore } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"

/** A folder to index: a root, or a part of it. */
export interface IndexedPart {
  /** Its number. */
  readonly root: number
  /** The root, absolute. */
  readonly path: string
  /** The part below it; "": all. */
  readonly below: string
}

/**
 * Before anything is written: a name that was mistyped is not to become a folder of the index.
 *
 * @throws UserError where one of the folders is neither there nor in the index
 */
export function requireFolders(index: string, folders: readonly string[]): void {
  const missing = folders.map((folder) => resolve(folder)).filter((path) => !isFolder(path))
  if (missing.length === 0) return
  const known = existsSync(join(index, databaseFile)) ? rootPaths(index) : []
  const unknown = missing.find((path) => !known.some((root) => path === root || isBelow(path, root)))
  if (unknown === undefined) return
  const what = existsSync(unknown) ? "is not a folder" : "does not exist"
  throw new UserError(`${unknown} ${what}`, "name a folder of pictures")
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

function rootPaths(index: string): string[] {
  using store = IndexStore.open(index)
  return store.rows("SELECT path FROM roots").map(({ path }) => path as string)
}

/** All roots. */
export function allRoots({ store }: IndexWriter): IndexedPart[] {
  return store
    .rows("SELECT id, path FROM roots ORDER BY path")
    .map(({ id, path }) => ({ root: Number(id), path: path as string, below: "" }))
}

/** The parts that folders are; new roots are made, and roots that lie in a new one become parts of it. */
export function partsOf(writer: IndexWriter, folders: readonly string[]): IndexedPart[] {
  const parts = new Map<string, IndexedPart>()
  for (const folder of folders) {
    const path = resolve(folder)
    const around = allRoots(writer).find((root) => path === root.path || isBelow(path, root.path))
    const part = around ? { ...around, below: relative(around.path, path) } : addRoot(writer, path)
    parts.set(path, part)
  }
  return [...parts.values()]
}

function addRoot(writer: IndexWriter, path: string): IndexedPart {
  const { store } = writer
  return store.writing(() => {
    store.run("INSERT INTO roots (path) VALUES (?)", path)
    const root = Number(store.row("SELECT id FROM roots WHERE path = ?", path)!.id)
    for (const inner of allRoots(writer).filter((each) => isBelow(each.path, path))) {
      const prefix = relative(path, inner.path) + sep
      for (const table of ["files", "failures"])
        store.run(`UPDATE ${table} SET root = ?1, path = ?2 || path WHERE root = ?3`, root, prefix, inner.root)
      store.run("DELETE FROM roots WHERE id = ?", inner.root)
    }
    writer.renewWords(root)
    return { root, path, below: "" }
  })
}

function isBelow(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}
