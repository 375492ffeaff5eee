/** Names of files and folders without what the index's roots lie in: "Photos/2023" for /home/somebody/Photos/2023. */
import { basename, join, sep } from "node:path"
import { quoted } from "../../core/errors.ts"
import type { IndexStore } from "../../search/store/index-store.ts"
import { RequestError } from "../http/errors.ts"

interface Root {
  readonly path: string
  /** Empty for the root of a file system. */
  readonly name: string
}

export class PublicNames {
  private readonly roots: readonly Root[]

  /** @param paths absolute; none lies in another one */
  constructor(paths: readonly string[]) {
    this.roots = paths.map((path) => ({ path, name: basename(path) }))
  }

  static of(store: IndexStore): PublicNames {
    return new PublicNames(store.rows("SELECT path FROM roots ORDER BY path").map(({ path }) => path as string))
  }

  get folders(): string[] {
    return [...new Set(this.roots.map(({ name }) => name))].filter((name) => name !== "")
  }

  /** With slashes. Without its root, which the index may have lost meanwhile, a file has its own name. */
  nameOf(path: string): string {
    const root = this.roots.find((each) => path.startsWith(withSeparator(each.path)))
    if (!root) return basename(path)
    const below = path.slice(withSeparator(root.path).length).replaceAll(sep, "/")
    return root.name === "" ? below : `${root.name}/${below}`
  }

  /** Absolute folders that are called so, one for each root of that name. Throws RequestError where no root is. */
  foldersOf(name: string, parameter: string): string[] {
    const parts = name.replace(/\/+$/, "").split("/")
    if (parts.some((part) => ["", ".", ".."].includes(part) || part.includes("\0") || part.includes(sep)))
      throw notName(name, parameter)
    const found = this.roots.flatMap((root) => {
      if (root.name === "") return [join(root.path, ...parts)]
      return root.name === parts[0] ? [join(root.path, ...parts.slice(1))] : []
    })
    if (found.length > 0) return found
    const known = this.folders.slice(0, mostNamed).map(quoted).join(", ")
    throw new RequestError(
      "invalid",
      `${parameter}: no folder of the index is called ${quoted(name)}: it has ${known}`,
      parameter,
    )
  }
}

/** In a message. */
const mostNamed = 10

/** A root may be that of a drive, which ends with a separator. */
function withSeparator(path: string): string {
  return path.endsWith("/") || path.endsWith(sep) ? path : path + sep
}

function notName(name: string, parameter: string): RequestError {
  const what = `${parameter}: ${quoted(name)} is not a folder's name as results have it`
  return new RequestError("invalid", `${what}: write "Photos/2023"`, parameter)
}
