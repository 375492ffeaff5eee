/**
 * Lists of shards as people write them: `data/{00000..00127}.tar`, nested `{{00..64}/{0..9},65/0}.tar`, several joined by
 * `::`, a folder, which stands for the shards in it, or an `info.json`, which lists them. Paths may be URLs of any store.
 * Braces follow bash: a pair without comma or range is literal.
 */
import { readdir, stat } from "node:fs/promises"
import { basename, join } from "node:path"
import { oneLine, quoted, UserError } from "../core/errors.ts"
import { requireInside } from "../core/inside.ts"
import { commandLine } from "../core/shell-quote.ts"
import { decodeText } from "../core/text/decode-text.ts"
import { requireNoCredentials } from "../host/network/address.ts"
import { parseInfo, shardLikeLists } from "./reinforced/tar/side-files.ts"
import { pathOf } from "./stores/local.ts"
import { isLocal, isUrl, openStorage } from "./stores/open.ts"
import type { Storage } from "./stores/storage.ts"

const MAX_PATHS = 1_000_000

/** Names of shards, by kind; a folder stands for the shards of the first kind that it has. */
const SHARD_KINDS = [/\.tar$/, /\.jsonl(\.gz|\.zst|\.zstd)?$/]

/** Whether a name is that of an index beside a shard, which a shell's `data/*` names too. */
export function isShardIndex(name: string): boolean {
  return /\.(tar|jsonl)\.index$/.test(name)
}

/** Whether a name is that of a TFRecord shard, which is not read here. */
export function isTfrecord(name: string): boolean {
  return /\.tfrecords?(\.gz)?(-\d+-of-\d+)?$/i.test(name.replace(/[?#].*$/, ""))
}

export function tfrecordError(name: string): UserError {
  return new UserError(
    `${name}: TFRecord is not read here`,
    "write the samples as WebDataset shards (.tar) or JSONL first; img2dataset does with --output_format webdataset",
  )
}

const COMPRESSED = /^[^.].*\.(tgz|tar\.(gz|zstd?|bz2|xz))$/

/** Lists of pictures and captions in columns. */
const LIST_FILE = /\.(csv|tsv)$/i

/**
 * The shard files that `list` names, in the order written; a folder gives its shards sorted by name. Whether a single file
 * exists is checked on this machine only. Throws a UserError when a brace is left open, a path does not exist, a URL has a user
 * name or a password, or nothing is named. Indexes of shards are passed over.
 */
export async function expandShards(
  list: string | readonly string[],
  storage: Storage = openStorage(),
): Promise<string[]> {
  const patterns = [list].flat().map(requireNoPipe).map(requireNoCredentials).flatMap(splitList).filter(Boolean)
  const shards: string[] = []
  for (const path of patterns.map(requireNoCredentials).flatMap(expandBraces)) {
    for (const shard of await shardsAt(path, storage)) shards.push(requireNoCredentials(shard))
  }
  if (!shards.length) throw new UserError("the list of shards is empty", "name .tar files or a folder that holds some")
  return shards
}

/** The list as it is. Throws UserError where it names the output of a command, as WebDataset's readers take it. */
export function requireNoPipe(list: string): string {
  if (!/(^|::)\s*pipe:/i.test(list)) return list
  throw new UserError(
    `${oneLine(list)}: pipe: is not supported, because samples are read by their positions and not one after the other`,
    "name the shard itself, by path or as s3://, https:// or hf://, or write the command's output to a file",
  )
}

/** At `::`, but not within the address of an IPv6 host: `http://[::1]/0.tar`. */
export function splitList(list: string): string[] {
  return list.split(/::(?![0-9a-f:]*\])/i)
}

async function shardsAt(path: string, storage: Storage): Promise<string[]> {
  if (isShardIndex(path)) return []
  if (isTfrecord(path)) throw tfrecordError(path)
  if (/(^|\/)info\.json$/.test(withoutQuery(path))) return shardsListed(path, storage)
  if (isLocal(path)) return localShards(path)
  const isFile = SHARD_KINDS.some((kind) => kind.test(withoutQuery(path)))
  if (isFile || /^https?:/i.test(path)) return [path]
  const names = (await storage.list(path)).filter((name) => !name.includes("/"))
  return shardsAmong(names, path).map((name) => `${path.replace(/\/+$/, "")}/${name}`)
}

/** The part of a URL that names a file: a signature may come after it. */
function withoutQuery(path: string): string {
  return isLocal(path) ? path : path.replace(/[?#].*$/, "")
}

async function localShards(path: string): Promise<string[]> {
  const local = pathOf(path)
  const found = await stat(local).catch(() => null)
  if (!found) throw new UserError(`${path}: no such shard or folder`)
  if (!found.isDirectory() && LIST_FILE.test(path)) {
    throw new UserError(`${path} is a list of pictures, and shards were expected`, packing(path))
  }
  if (!found.isDirectory()) return [path]
  return shardsAmong(await readdir(local), path).map((name) =>
    isUrl(path) ? `${path.replace(/\/+$/, "")}/${name}` : join(path, name),
  )
}

function shardsAmong(names: readonly string[], folder: string): string[] {
  for (const kind of SHARD_KINDS) {
    const shards = names
      .filter((name) => kind.test(name) && !name.startsWith(".") && !shardLikeLists.includes(basename(name)))
      .sort()
    if (shards.length > 0) return shards
  }
  const tfrecord = names.find(isTfrecord)
  if (tfrecord !== undefined) throw tfrecordError(join(folder, tfrecord))
  if (names.some((name) => COMPRESSED.test(name))) {
    throw new UserError(`${folder}: its archives are compressed, and tar shards are read uncompressed`, "unpack them")
  }
  throw new UserError(
    `${folder}: the folder holds no .tar file`,
    `shards end in .tar, .jsonl, .jsonl.gz or .jsonl.zst; ${packing(folder)}`,
  )
}

/** For those who have pictures and no shards yet. */
function packing(pictures: string): string {
  return `\`${commandLine(["mobileclip", "shards", pictures, "--out", "shards"])}\` packs pictures into shards`
}

/** The keys of `lengths`, relative to the file or, as some list them, to the folder around its own. */
async function shardsListed(path: string, storage: Storage): Promise<string[]> {
  const bytes = await storage.readBytes(path)
  if (!bytes) throw new UserError(`${path}: no such file`)
  const names = [...parseInfo(decodeText(bytes, path), path).lengths.keys()]
  const folder = withoutQuery(path).slice(0, -"info.json".length)
  const above = folder.replace(/[^/]+\/$/, "")
  const isAbsolute = (name: string) => isUrl(name) || name.startsWith("/")
  const relative = names.find((name) => !isAbsolute(name))
  const isAbove =
    relative !== undefined &&
    !(await storage.stat(listedShard(folder, relative, path))) &&
    (await storage.stat(listedShard(above, relative, path))) !== null
  return names.map((name) => listedShard(isAbsolute(name) ? "" : isAbove ? above : folder, name, path))
}

/** Throws UserError where a list from another machine names a file that is not on the list's own server. */
function listedShard(folder: string, name: string, list: string): string {
  const shard = folder + name
  if (isLocal(list)) return shard
  if (folder !== "") requireInside(/^https?:/i.test(list) ? name.replace(/[?#].*$/, "") : name, list)
  if (originOf(shard) === originOf(list) && !hasDotParts(shard)) return shard
  throw new UserError(
    `${list} names ${quoted(name)}, which is not at ${originOf(list)}`,
    "a list from elsewhere names shards of its own server, bucket or repository; save it here to allow others",
  )
}

/** Where a URL is from: `https://host:port`, `s3://bucket`, `hf://datasets/owner/name`; a path is on this machine. */
function originOf(url: string): string {
  if (/^https?:/i.test(url) && URL.canParse(url)) return new URL(url).origin
  return (
    /^(s3:\/\/[^/]+|hf:\/\/(?:(?:datasets|models|spaces)\/)?[^/]+\/[^/@]+)(?=[/@])/i.exec(url)?.[0] ?? "this machine"
  )
}

/** In a URL, `%2e%2e` leads up, too. */
function hasDotParts(url: string): boolean {
  return /(^|[/\\])(\.|%2e){1,2}([/\\?#]|$)/i.test(url.replaceAll(/%2f|%5c/gi, "/"))
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
