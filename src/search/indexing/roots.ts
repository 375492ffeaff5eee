/** The folders of an index. None lies in another one, so that no file is indexed twice. */
import { relative, resolve, sep } from "node:path"
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
