/** What an index leaves out of its folders: what other programs keep there for themselves, and what a person's patterns name. */
import { basename, sep } from "node:path"
import { jsonOrNull } from "../../core/json.ts"
import { alternatives } from "../../host/files/glob.ts"
import type { IndexStore } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"

/** Thumbnails of network drives, bins, packages, and what systems keep on a drive. */
const programFolders: ReadonlySet<string> = new Set([
  ...["@eaDir", "@__thumb", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot", "$RECYCLE.BIN"],
  ...["System Volume Information", "lost+found", "node_modules", "__MACOSX"],
])

/**
 * Whether a file or folder of a root, by its path below it, is left out. A pattern without a slash is compared with its name, and
 * one with a slash with its path. `*` and `?` stand for letters of a name, `**` for any folders, `{a,b}` for one of several.
 */
export function leavesOut(patterns: readonly string[]): (path: string) => boolean {
  const matchers = patterns.flatMap(alternatives).map(matcherOf)
  return (path) => programFolders.has(basename(path)) || matchers.some((matches) => matches(path))
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

/** The patterns that a root of the index has. */
export function patternsOf(store: IndexStore, root: string): string[] {
  const found = jsonOrNull(store.meta(keyOf(root)) ?? "[]")
  return Array.isArray(found) ? found.map(String) : []
}

/** From now on these, in place of those that it had. */
export function keepPatterns(writer: IndexWriter, root: string, patterns: readonly string[]): void {
  writer.setMeta(keyOf(root), JSON.stringify(patterns.filter((pattern) => pattern !== "")))
}

function keyOf(root: string): string {
  return `left out of ${root}`
}
