/** In which folder of an index a picture is. */
import { dirname, resolve } from "node:path"
import { UserError } from "../../../core/errors.ts"
import type { IndexWriter, NewFile } from "../../store/index-writer.ts"
import { isBelow } from "./path-map.ts"

/** Folders of the index, and the one that pictures outside of them are put below. */
export class ImportRoots {
  private readonly known: { readonly id: number; readonly path: string }[]

  constructor(
    private readonly writer: IndexWriter,
    folder: string | null,
    given: string | undefined,
  ) {
    this.known = writer.store
      .rows("SELECT id, path FROM roots")
      .map(({ id, path }) => ({ id: Number(id), path: `${path}` }))
    this.fallback = given === undefined ? folder : resolve(given)
  }

  private readonly fallback: string | null

  /** Null: in none of them. */
  placeOf(path: string): Pick<NewFile, "root" | "path"> | null {
    const found = this.rootOf(path)
    if (found === null || path === found.path) return null
    return { root: found.id, path: path.slice(found.path.endsWith("/") ? found.path.length : found.path.length + 1) }
  }

  private rootOf(path: string): { readonly id: number; readonly path: string } | null {
    const found = this.known.filter((root) => isBelow(path, root.path)).sort((a, b) => b.path.length - a.path.length)
    if (found[0]) return found[0]
    if (this.fallback === null || !isBelow(path, this.fallback)) return null
    if (dirname(this.fallback) === this.fallback) {
      throw new UserError(
        `the pictures have no folder in common but ${this.fallback}`,
        "name the one that they are below here, and map others into it: --root DIR --map FROM=TO",
      )
    }
    const { store } = this.writer
    store.run("INSERT INTO roots (path) VALUES (?)", this.fallback)
    const root = {
      id: Number(store.row("SELECT id FROM roots WHERE path = ?", this.fallback)!.id),
      path: this.fallback,
    }
    this.known.push(root)
    return root
  }
}
