/** Patterns of paths, such as `photos/a?.jpg`, for shells that pass them on as they are: those of Windows, and quoted words. */
import { existsSync } from "node:fs"
import { readdir } from "node:fs/promises"
import platformPath, { join, type PlatformPath } from "node:path"
import { UserError } from "../../core/errors.ts"
import { fileError } from "./file-error.ts"

/** Whether a word is a pattern: there is no file of this name, and it has one of a pattern's letters. */
export function isGlob(word: string): boolean {
  return /[*?[{]/.test(word) && !existsSync(word)
}

/**
 * The paths that a pattern matches, sorted. `*` and `?` stand for letters of a name, `[a-f]` for one of several, `{jpg,png}` for
 * one of several texts, and `**` for any folders. Hidden names are matched only by a part that begins with a dot, and `**` does
 * not follow links.
 *
 * @throws UserError where nothing matches, or a folder cannot be read
 */
export async function expandGlob(pattern: string): Promise<string[]> {
  const lists = await Promise.all(alternatives(pattern).map(matchesOf))
  const found = [...new Set(lists.flat())].sort()
  if (found.length > 0) return found
  throw new UserError(`${pattern} matches no file`, "check the pattern and the folder you are in")
}

/** A pattern without braces for each choice: `a.{jpg,png}` is `a.jpg` and `a.png`. */
export function alternatives(pattern: string): string[] {
  const group = /\{([^{}]*)\}/.exec(pattern)
  if (!group) return [pattern]
  const [before, after] = [pattern.slice(0, group.index), pattern.slice(group.index + group[0].length)]
  return group[1]!.split(",").flatMap((choice) => alternatives(before + choice + after))
}

async function matchesOf(pattern: string): Promise<string[]> {
  const { root, parts } = split(pattern)
  return matchesBelow(root, parts)
}

/** On Windows a path may begin with a drive, and both slashes separate its parts. */
export function split(pattern: string, { parse, sep }: Pick<PlatformPath, "parse" | "sep"> = platformPath) {
  const { root } = parse(pattern)
  const parts = pattern.slice(root.length).split(sep === "/" ? "/" : /[\\/]/)
  return { root, parts: parts.filter((part) => part !== "") }
}

/** @param folder that the parts are matched in; "" is the current one */
async function matchesBelow(folder: string, parts: readonly string[]): Promise<string[]> {
  const [part, ...rest] = parts
  if (part === undefined) return folder === "" ? [] : [folder]
  if (part === "**") return anyDepth(folder, rest)
  if (!/[*?[]/.test(part)) {
    const path = join(folder, part)
    return existsSync(path) ? matchesBelow(path, rest) : []
  }
  const isMatch = matcherOf(part)
  const entries = (await entriesOf(folder)).filter(({ name }) => isMatch(name))
  const usable = rest.length === 0 ? entries : entries.filter((entry) => !entry.isFile())
  return (await Promise.all(usable.map(({ name }) => matchesBelow(join(folder, name), rest)))).flat()
}

/** Two stars at the end are everything below. */
async function anyDepth(folder: string, rest: readonly string[]): Promise<string[]> {
  const here = await matchesBelow(folder, rest.length === 0 ? ["*"] : rest)
  const folders = (await entriesOf(folder)).filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
  const below = await Promise.all(folders.map(({ name }) => anyDepth(join(folder, name), rest)))
  // A folder is walked by whoever is given it, and its files would come twice.
  const own = rest.length === 0 ? here.filter((path) => !folders.some(({ name }) => path === join(folder, name))) : here
  return [...own, ...below.flat()]
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder === "" ? "." : folder, { withFileTypes: true })
  } catch (error) {
    // A pattern's part matched a file where a folder was expected, a link to itself, or something that is gone.
    if (["ENOTDIR", "ENOENT", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")) return []
    throw fileError(error, "reading", folder)
  }
}

function matcherOf(part: string): (name: string) => boolean {
  const source = part.replaceAll(/\*+|\?|\[!?[^\]]+\]|[^*?[]+|\[/g, (piece) => {
    if (piece.startsWith("*")) return ".*"
    if (piece === "?") return "."
    if (piece.length > 2 && piece.startsWith("[")) return piece.replace("[!", "[^").replaceAll("\\", "\\\\")
    return piece.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")
  })
  const pattern = new RegExp(`^${source}$`, "s")
  return (name) => pattern.test(name) && (!name.startsWith(".") || part.startsWith("."))
}
