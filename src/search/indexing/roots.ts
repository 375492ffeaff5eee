/** The folders of an index. None lies in another one, so that no file is indexed twice. */
import { existsSync, statSync } from "node:fs"
import { join, relative, resolve, sep } from "node:path"
import { UserError } from "../../core/errors.ts"
import { indexCommand } from "../store/index-command.ts"
import { databaseFile, IndexStore } from "../store/index-store.ts"
import { renewWords } from "../store/picture-rows.ts"

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
 * Before anything is written: a name that was mistyped does not become a folder of the index.
 *
 * @param folders none: those of the index
 * @throws UserError where one of the folders is neither there nor in the index, or there is none
 */
export function requireFolders(index: string, folders: readonly string[]): void {
  if (folders.length === 0) requireRoots(index)
  const own = folders.find((folder) => isWithin(resolve(folder), resolve(index)))
  if (own !== undefined)
    throw new UserError(
      `${resolve(own)} is ${resolve(own) === resolve(index) ? "" : "in "}the index's own folder, whose pictures are passed over`,
      `name another folder for the index: --index ${join(resolve(own), ".index")}`,
    )
  const missing = folders.map((folder) => resolve(folder)).filter((path) => !isFolder(path))
  if (missing.length === 0) return
  const unknown = existsSync(join(index, databaseFile)) ? unknownIn(index, missing) : missing[0]
  if (unknown === undefined) return
  const what = existsSync(unknown) ? "is not a folder" : "does not exist"
  throw new UserError(`${unknown} ${what}`, "name a folder of pictures")
}

function requireRoots(index: string): void {
  using store = IndexStore.open(index)
  if (allRoots(store).length > 0) return
  const hint = `name one: ${indexCommand(index, "DIR", "--model", "MODEL")}`
  throw new UserError(`the index in ${index} has no folders yet`, hint)
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** The first that the index has no file of. */
function unknownIn(index: string, paths: readonly string[]): string | undefined {
  using store = IndexStore.open(index)
  const roots = allRoots(store)
  return paths.find((path) => {
    const around = roots.find((root) => isWithin(path, root.path))
    return around === undefined || (path !== around.path && !hasFiles(store, around, path))
  })
}

function hasFiles(store: IndexStore, { root, path }: IndexedPart, folder: string): boolean {
  const start = relative(path, folder) + sep
  const sql = (table: string) => `SELECT 1 FROM ${table} WHERE root = ?1 AND substr(path, 1, length(?2)) = ?2`
  return store.row(`${sql("files")} UNION ALL ${sql("failures")} LIMIT 1`, root, start) !== undefined
}

/** Those of an index that may not be there. */
export function rootPaths(index: string): string[] {
  if (!existsSync(join(index, databaseFile))) return []
  using store = IndexStore.open(index)
  return allRoots(store).map(({ path }) => path)
}

/** All roots. */
export function allRoots(store: IndexStore): IndexedPart[] {
  return store
    .rows("SELECT id, path FROM roots ORDER BY path")
    .map(({ id, path }) => ({ root: Number(id), path: path as string, below: "" }))
}

/**
 * The parts that folders are, without those that lie in another one; new roots are made, and roots that lie in a new one become
 * parts of it.
 */
export function partsOf(store: IndexStore, folders: readonly string[]): IndexedPart[] {
  const paths = [...new Set(folders.map((folder) => resolve(folder)))]
  const outermost = paths.filter((path) => !paths.some((other) => other !== path && isWithin(path, other)))
  return outermost.map((path) => {
    const around = allRoots(store).find((root) => isWithin(path, root.path))
    return around ? { ...around, below: relative(around.path, path) } : addRoot(store, path)
  })
}

function addRoot(store: IndexStore, path: string): IndexedPart {
  return store.writing(() => {
    store.run("INSERT INTO roots (path) VALUES (?)", path)
    const root = Number(store.row("SELECT id FROM roots WHERE path = ?", path)!.id)
    for (const inner of allRoots(store).filter((each) => each.root !== root && isWithin(each.path, path))) {
      const prefix = relative(path, inner.path) + sep
      for (const table of ["files", "failures"])
        store.run(`UPDATE ${table} SET root = ?1, path = ?2 || path WHERE root = ?3`, root, prefix, inner.root)
      store.run("DELETE FROM roots WHERE id = ?", inner.root)
    }
    renewWords(store, "root", root)
    return { root, path, below: "" }
  })
}

/** Whether a path is a folder, or in it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}
