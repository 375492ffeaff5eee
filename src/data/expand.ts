/**
 * Lists of shards as people write them: `data/{00000..00127}.tar`, nested `{{00..64}/{0..9},65/0}.tar`, several joined by
 * `::`, or a folder, which stands for every `*.tar` in it. Braces follow bash: a pair without comma or range is literal.
 */
import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { UserError } from "../core/errors.ts"

const MAX_PATHS = 1_000_000

/**
 * The shard files that `list` names, in the order written; a folder gives its shards sorted by name.
 * Throws a UserError when a brace is left open, a path does not exist or nothing is named.
 */
export async function expandShards(list: string | readonly string[]): Promise<string[]> {
  const patterns = (typeof list === "string" ? [list] : list).flatMap((item) => item.split("::")).filter(Boolean)
  const shards: string[] = []
  for (const path of patterns.flatMap(expandBraces)) shards.push(...(await shardsAt(path)))
  if (!shards.length) throw new UserError("the list of shards is empty", "name .tar files or a folder that holds some")
  return shards
}

async function shardsAt(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => null)
  if (!found) throw new UserError(`${path}: no such shard or folder`)
  if (!found.isDirectory()) return [path]
  const names = (await readdir(path)).filter((name) => name.endsWith(".tar")).sort()
  if (!names.length) throw new UserError(`${path}: the folder holds no .tar file`)
  return names.map((name) => join(path, name))
}

/** Brace expansion: `a{1,2}` gives a1 a2, `{08..10}` gives 08 09 10, `{0..6..3}` gives 0 3 6. Throws on an open brace. */
export function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf("{")
  if (open < 0) return [pattern]
  const { parts, close } = splitGroup(pattern, open)
  const choices = parts.length > 1 ? parts.flatMap(expandBraces) : expandRange(parts[0]!)
  const tails = expandBraces(pattern.slice(close + 1))
  if (choices.length * tails.length > MAX_PATHS) throw new UserError(`${pattern}: names more than ${MAX_PATHS} shards`)
  const head = pattern.slice(0, open)
  return choices.flatMap((choice) => tails.map((tail) => head + choice + tail))
}

/** The comma-separated parts of the group that opens at `open`; commas of inner groups do not count. */
function splitGroup(pattern: string, open: number): { parts: string[]; close: number } {
  const parts: string[] = []
  let depth = 0
  let start = open + 1
  for (let i = open; i < pattern.length; i++) {
    if (pattern[i] === "{") depth++
    else if (pattern[i] === "}") depth--
    if ((pattern[i] === "," && depth === 1) || depth === 0) {
      parts.push(pattern.slice(start, i))
      start = i + 1
    }
    if (depth === 0) return { parts, close: i }
  }
  throw new UserError(`${pattern}: the brace at character ${open + 1} is not closed`)
}

function expandRange(body: string): string[] {
  const range = /^(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?$/.exec(body)
  if (!range) return expandBraces(body).map((inner) => `{${inner}}`)
  const [first, last] = [Number(range[1]), Number(range[2])]
  const step = Math.max(Math.abs(Number(range[3] ?? 1)), 1)
  const count = Math.floor(Math.abs(last - first) / step) + 1
  if (count > MAX_PATHS) throw new UserError(`{${body}}: names more than ${MAX_PATHS} shards`)
  const width = [range[1]!, range[2]!].some(isPadded) ? Math.max(range[1]!.length, range[2]!.length) : 0
  return Array.from({ length: count }, (_, i) => padNumber(first + Math.sign(last - first) * step * i, width))
}

function isPadded(text: string): boolean {
  return /^-?0\d/.test(text)
}

function padNumber(value: number, width: number): string {
  const digits = String(Math.abs(value))
  return value < 0 ? `-${digits.padStart(width - 1, "0")}` : digits.padStart(width, "0")
}
