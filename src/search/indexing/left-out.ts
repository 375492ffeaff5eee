/** What an index leaves out of its folders: what other programs keep there for themselves, and what a person's patterns name. */
import { basename, relative, sep } from "node:path"
import { jsonOrNull } from "../../core/json.ts"
import { alternatives } from "../../host/files/glob.ts"
import type { IndexStore } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import { isWithin } from "./roots.ts"

/** What a person left out of a folder, which may lie in another one of the index. */
export interface FolderPatterns {
  readonly path: string
  readonly exclude: readonly string[]
}

/** Thumbnails of network drives, bins, packages, and what systems keep on a drive. */
const programFolders: ReadonlySet<string> = new Set([
  ...["@eaDir", "@__thumb", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot", "$RECYCLE.BIN"],
  ...["System Volume Information", "lost+found", "node_modules", "__MACOSX"],
])

/**
 * Whether a file or folder of a root, by its path below it, is left out. A pattern without a slash is compared with its name, and
 * one with a slash with its path below the folder of the pattern. `*` and `?` stand for letters of a name, `**` for any folders,
 * `{a,b}` for one of several.
 *
 * @param folders the root, and folders in it
 */
export function leavesOut(root: string, folders: readonly FolderPatterns[]): (path: string) => boolean {
  const matchers = folders.map(({ path, exclude }) => matcherIn(relative(root, path), exclude))
  return (path) => programFolders.has(basename(path)) || matchers.some((matches) => matches(path))
}

/** @param folder below the root; "": the root */
function matcherIn(folder: string, patterns: readonly string[]): (path: string) => boolean {
  const start = folder === "" ? "" : folder + sep
  const matchers = patterns.flatMap(alternatives).map(matcherOf)
  return (path) => path.startsWith(start) && matchers.some((matches) => matches(path.slice(start.length)))
}

function matcherOf(pattern: string): (path: string) => boolean {
  const text = pattern.replace(/^\.?\/|\/$/g, "")
  const source = text.replaceAll(/\*\*\/?|[*?]|[^*?]+/g, (piece) => {
    if (piece === "**/") return "(?:.*/)?"
    if (piece === "**") return ".*"
    if (piece === "*") return "[^/]*"
    return piece === "?" ? "[^/]" : piece.replaceAll(/[\\^$.+()[\]{}|]/g, "\\$&")
  })
  const whole = new RegExp(`^${source}$`, "s")
  const isName = !pattern.replace(/\/$/, "").includes("/")
  return (path) => whole.test(isName ? basename(path) : path.replaceAll(sep, "/"))
}

/** The patterns of a root of the index, and those of folders in it, which were roots before or were given by themselves. */
export function patternsWithin(store: IndexStore, root: string): FolderPatterns[] {
  return store
    .rows("SELECT key, value FROM meta WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key", keyOf(""))
    .map(({ key, value }) => ({ path: String(key).slice(keyOf("").length), exclude: patternsIn(String(value)) }))
    .filter(({ path, exclude }) => isWithin(path, root) && exclude.length > 0)
}

function patternsIn(text: string): string[] {
  const found = jsonOrNull(text)
  return Array.isArray(found) ? found.map(String) : []
}

/** From now on these, in place of those that the folder had. Folders in it keep their own. */
export function keepPatterns(writer: IndexWriter, folder: string, patterns: readonly string[]): void {
  writer.setMeta(keyOf(folder), JSON.stringify(patterns.filter((pattern) => pattern !== "")))
}

function keyOf(folder: string): string {
  return `left out of ${folder}`
}
