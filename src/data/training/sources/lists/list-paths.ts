/** Paths that a list names, relative to its folder, and the deepest folder that holds all of them. */
import { existsSync } from "node:fs"
import { resolve, sep } from "node:path"

/** Whether a list was written on Windows: here, a file may have `\` in its name. */
export function hasWindowsPaths(folder: string, image: string): boolean {
  if (sep === "\\" || !image.includes("\\") || existsSync(pathIn(folder, image))) return false
  return existsSync(pathIn(folder, image.replaceAll("\\", "/")))
}

/** A path with an empty, "." or ".." step, and an absolute one; on Windows also one with its separator or a drive. */
const oddPath = /(^|\/)\.{0,2}(\/|$)|[\\:]/

/** The same path as `resolve` gives, which takes long for each of millions. */
export function pathIn(folder: string, image: string): string {
  return oddPath.test(image) || folder.endsWith(sep) ? resolve(folder, image) : `${folder}${sep}${image}`
}

const [slash, dot, colon, backslash] = [0x2f, 0x2e, 0x3a, 0x5c]

/**
 * Whether the path of these bytes is, without a look at its steps, the folder of the list with the bytes after it, or the
 * bytes alone where they begin with a slash. Names that begin with a dot do not count.
 */
export function isPlainPath(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end || sep !== "/") return false
  let before = bytes[start] === slash ? 0 : slash
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte === colon || byte === backslash || (before === slash && (byte === slash || byte === dot))) return false
    before = byte
  }
  return before !== slash
}

/** Grows shorter with each path. */
export class CommonFolder {
  /** With its last slash; "" where there is none, null before the first path. */
  folder: string | null = null
  /** What plain paths begin with that it holds already, relative and absolute ones; null where none do. */
  private relative: Buffer | null = null
  private absolute: Buffer | null = null

  /** @param listFolder of the list, for `holds` */
  constructor(private readonly listFolder = "") {}

  add(path: string): void {
    const before = this.folder
    let folder = before ?? folderOf(path)
    while (!path.startsWith(folder)) folder = folderOf(folder.slice(0, -1))
    if (folder !== before) this.set(folder)
  }

  set(folder: string): void {
    this.folder = folder
    this.absolute = Buffer.from(folder)
    const base = `${this.listFolder}/`
    if (this.listFolder.endsWith("/")) this.relative = null
    else if (folder.startsWith(base)) this.relative = Buffer.from(folder.slice(base.length))
    else this.relative = base.startsWith(folder) ? Buffer.alloc(0) : null
  }

  /** Bytes of a plain path after which its name in the folder begins; -1 where the folder may not hold it. */
  holds(bytes: Uint8Array, start: number, end: number): number {
    const prefix = bytes[start] === slash ? this.absolute : this.relative
    if (prefix === null || end - start < prefix.length) return -1
    for (let i = 0; i < prefix.length; i++) if (bytes[start + i] !== prefix[i]) return -1
    return prefix.length
  }

  /** What stands before the name of a relative path: folders between this one and that of the list. */
  get between(): string {
    return `${this.listFolder}/`.slice(this.folder?.length ?? 0)
  }
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1)
}
