/**
 * What tells training data from other data, wherever they are: names, order, captions of lists, and sizes. Only listings are
 * read, and for very many files the sizes of some, evenly spread, are enough.
 */
import { createHash } from "node:crypto"
import { setImmediate } from "node:timers/promises"
import { EnvironmentError, UserError } from "../../../core/errors.ts"
import { mapOrdered } from "../../../core/parallel.ts"
import { openStorage } from "../../stores/open.ts"
import type { Storage } from "../../stores/storage.ts"
import { CommonFolder } from "./lists/list-paths.ts"
import { RowsDigest } from "./lists/rows-digest.ts"
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
  const sizes = await listSizes(list)
  const text = JSON.stringify(sizes)
  const digest = await (list.digest?.(text) ?? rowsDigest(list, text))
  return `${list.count} pictures${bytesText(list.count, sizes)} (${digest})`
}

/** Sizes of the files that are looked at. */
export function listSizes(list: SampleList): Promise<(number | null)[]> {
  return sizesOf(list.count, (i) => filesOf(list.location(i)), openStorage())
}

async function rowsDigest(list: SampleList, text: string): Promise<string> {
  const common = new CommonFolder()
  await forEach(list, ({ path }) => common.add(path))
  const digest = new RowsDigest(text, common.folder ?? "")
  await forEach(list, (location) => digest.add(location.path, captionsOf(location)))
  return digest.digest()
}

/** With pauses for everything else that the process does. */
async function forEach(list: SampleList, take: (location: SampleLocation) => void): Promise<void> {
  for (let i = 0; i < list.count; i++) {
    if (i % rowsAtOnce === rowsAtOnce - 1) await setImmediate()
    take(list.location(i))
  }
}

const rowsAtOnce = 10_000

/** The picture, and its captions where they are in a file. */
function filesOf(location: SampleLocation): string[] {
  if (location.kind !== "file" || !("file" in location.captions)) return [location.path]
  return [location.path, location.captions.file]
}

/** Null where they are in a file of their own. */
function captionsOf(location: SampleLocation): readonly string[] | null {
  return location.kind === "file" && !("file" in location.captions) ? location.captions : null
}

/** Sizes of the files of the items that are looked at; null where a file is missing, or a server does not say. */
async function sizesOf(
  count: number,
  files: (item: number) => readonly string[],
  storage: Storage,
): Promise<(number | null)[]> {
  const sizes: (number | null)[] = []
  for await (const size of mapOrdered(filesToLookAt(count, files), atOnce, (file) => sizeOf(file, storage)))
    sizes.push(size)
  return sizes
}

/** Named one by one as they are asked for: each may be read from a list. */
function* filesToLookAt(count: number, files: (item: number) => readonly string[]): Generator<string> {
  const looked = Math.min(count, mostSizes)
  for (let i = 0; i < looked; i++) yield* files(Math.floor((i * count) / looked))
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

function commonFolder(paths: Iterable<string>): string {
  const common = new CommonFolder()
  for (const path of paths) common.add(path)
  return common.folder ?? ""
}

function relativeTo(folder: string, paths: readonly string[]): string[] {
  return paths.map((path) => path.slice(folder.length))
}
