/**
 * What tells training data from other data, wherever they are: names, order, captions of lists, and sizes. Only listings are
 * read, and for very many files the sizes of some, evenly spread, are enough.
 */
import { createHash } from "node:crypto"
import { EnvironmentError, UserError } from "../../../core/errors.ts"
import { mapOrdered } from "../../../core/parallel.ts"
import { openStorage } from "../../stores/open.ts"
import type { Storage } from "../../stores/storage.ts"
import type { SampleList, SampleLocation } from "./location.ts"

/** How many files' sizes are asked for at most, and how many at the same time: each may be a request to a server. */
const [mostSizes, atOnce] = [4096, 32]

/**
 * "40 samples in 2 shards, 183296 bytes (5f2c0c13a9be77d1)"
 *
 * @param samples null where that is not known before all shards are read
 */
export async function shardIdentity(
  urls: readonly string[],
  samples: number | null,
  storage: Storage,
): Promise<string> {
  const addresses = urls.map((url) => url.replace(/[?#].*$/, ""))
  const sizes = await sizesOf(urls.length, (i) => [urls[i]!], storage)
  const hash = createHash("sha256").update(JSON.stringify([relativeTo(commonFolder(addresses), addresses), sizes]))
  const shards = `${urls.length} ${urls.length === 1 ? "shard" : "shards"}`
  const count = samples === null ? shards : `${samples} samples in ${shards}`
  return `${count}${bytesText(urls.length, sizes)} (${hash.digest("hex").slice(0, 16)})`
}

/** The identity of a list of pictures: "40 pictures, 183296 bytes (5f2c0c13a9be77d1)". */
export async function listIdentity(list: SampleList): Promise<string> {
  const sizes = await sizesOf(list.count, (i) => filesOf(list.location(i)), openStorage())
  const folder = commonFolder(pathsOf(list))
  const hash = createHash("sha256").update(JSON.stringify(sizes))
  let rows = ""
  for (let i = 0; i < list.count; i++) {
    rows += rowText(list.location(i), folder)
    // Joined first, because a call for each of millions would take longer than the hash.
    if (rows.length > 2 ** 16) {
      hash.update(rows)
      rows = ""
    }
  }
  hash.update(rows)
  return `${list.count} pictures${bytesText(list.count, sizes)} (${hash.digest("hex").slice(0, 16)})`
}

function* pathsOf(list: SampleList): Generator<string> {
  for (let i = 0; i < list.count; i++) yield list.location(i).path
}

/** The picture, and its captions where they are in a file. */
function filesOf(location: SampleLocation): string[] {
  if (location.kind !== "file" || !("file" in location.captions)) return [location.path]
  return [location.path, location.captions.file]
}

function rowText(location: SampleLocation, folder: string): string {
  const name = location.path.slice(folder.length)
  return `${JSON.stringify([name, location.kind === "file" && !("file" in location.captions) ? location.captions : null])}\n`
}

/** Sizes of the files of the items that are looked at; null where a file is missing, or a server does not say. */
async function sizesOf(
  count: number,
  files: (item: number) => readonly string[],
  storage: Storage,
): Promise<(number | null)[]> {
  const looked = Math.min(count, mostSizes)
  const chosen = Array.from({ length: looked }, (_, i) => Math.floor((i * count) / looked)).flatMap(files)
  const sizes: (number | null)[] = []
  for await (const size of mapOrdered(chosen, atOnce, (file) => sizeOf(file, storage))) sizes.push(size)
  return sizes
}

async function sizeOf(file: string, storage: Storage): Promise<number | null> {
  try {
    return (await storage.stat(file))?.bytes ?? null
  } catch (error) {
    if (error instanceof UserError && !(error instanceof EnvironmentError)) return null
    throw error
  }
}

function bytesText(count: number, sizes: readonly (number | null)[]): string {
  if (count > mostSizes || sizes.includes(null)) return ""
  return `, ${sizes.reduce<number>((sum, size) => sum + size!, 0)} bytes`
}

/** The deepest folder that contains all paths, with its last slash; "" where there is none. */
function commonFolder(paths: Iterable<string>): string {
  let folder: string | null = null
  for (const path of paths) {
    folder ??= folderOf(path)
    while (!path.startsWith(folder)) folder = folderOf(folder.slice(0, -1))
  }
  return folder ?? ""
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1)
}

function relativeTo(folder: string, paths: readonly string[]): string[] {
  return paths.map((path) => path.slice(folder.length))
}
