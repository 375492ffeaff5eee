/**
 * Where index files lie: beside what they are of, as `<name>.index`, where `mobileclip shards index` puts them; else in the
 * user's cache, named by the path. A cache is never needed: what is missing, stale or damaged is made again, and where it
 * cannot be written it is not used.
 */
import { createHash } from "node:crypto"
import { constants, rmSync } from "node:fs"
import { access } from "node:fs/promises"
import { join, resolve } from "node:path"
import { messageOf, oneLine, UserError } from "../../core/errors.ts"
import { markUsed, removeUnused } from "../../host/files/bounded-folder.ts"
import { makeDirectory } from "../../host/files/files.ts"
import { ownCacheDir } from "../../native/own-cache.ts"
import {
  type FileStamp,
  isIndexFile,
  openSampleIndex,
  type SampleIndex,
  type TablePieces,
  writeSampleIndex,
} from "./index-file.ts"

export const indexCacheDefaults = {
  /** When all have more, those that were not used for longest are removed: a thousand million samples. */
  mostBytes: 8 * 2 ** 30,
  /** Smaller files are indexed as fast as an index is found. */
  smallestFile: 4 * 2 ** 20,
} as const

/** `indexes` in this program's cache folder. */
export function indexCacheFolder(): string {
  return join(ownCacheDir(process.env), "indexes")
}

export function indexBeside(path: string): string {
  return `${path}.index`
}

/** Whether indexes can be written to a folder. */
export function isWritable(folder: string): Promise<boolean> {
  return access(folder, constants.W_OK).then(
    () => true,
    () => false,
  )
}

/** Throws EnvironmentError where the user has no home folder. */
export function indexInCache(path: string, format: string): string {
  const name = createHash("sha256")
    .update(JSON.stringify([format, resolve(path)]))
    .digest("hex")
  return join(indexCacheFolder(), `${name}.index`)
}

/**
 * The index of a file as it is now, which the caller closes: the one beside it, else the one in the cache; null where neither
 * is there or fits.
 *
 * @param fits whether its facts are what is looked for
 */
export function findSampleIndex(
  path: string,
  format: string,
  stamp: FileStamp,
  fits: (index: SampleIndex) => boolean = () => true,
): SampleIndex | null {
  const beside = fitting(openSampleIndex(indexBeside(path), format, stamp), fits)
  if (beside || stamp.bytes < indexCacheDefaults.smallestFile) return beside
  const place = placeInCache(path, format)
  const kept = place === null ? null : fitting(openSampleIndex(place, format, stamp), fits)
  if (kept) markUsed(kept.name)
  return kept
}

/** Closes one that does not fit. */
function fitting(index: SampleIndex | null, fits: (index: SampleIndex) => boolean): SampleIndex | null {
  if (index === null || fits(index)) return index
  index.close()
  return null
}

/** What is written: the table, and what the head says, when all of the table was given. */
export interface SampleIndexContent {
  readonly format: string
  readonly stamp: FileStamp
  readonly table: TablePieces
  /** Default: 0. */
  readonly parts?: () => number
  readonly facts: () => unknown
}

/** Writes it beside the file. Throws UserError where that cannot be, or something else has its name. */
export async function writeIndexBeside(path: string, content: SampleIndexContent): Promise<void> {
  const place = indexBeside(path)
  if (!isIndexFile(place)) {
    throw new UserError(`${place} is there already, and mobileclip did not write it`, "move it away")
  }
  await writeContent(place, content)
}

/**
 * Keeps it in the cache. `trimIndexCache` is called when all that was to be kept is.
 *
 * @returns why it is not kept: the cache cannot be written, or the file is small (null)
 */
export async function keepSampleIndex(path: string, content: SampleIndexContent): Promise<string | null> {
  if (content.stamp.bytes < indexCacheDefaults.smallestFile) return null
  try {
    await makeDirectory(indexCacheFolder())
    await writeContent(indexInCache(path, content.format), content)
    return null
  } catch (error) {
    return oneLine(messageOf(error), 300)
  }
}

/** Removes indexes from the cache that were not used for longest, until the rest is small enough; an error is let be. */
export async function trimIndexCache(mostBytes: number = indexCacheDefaults.mostBytes): Promise<void> {
  try {
    await removeUnused(indexCacheFolder(), (name) => own.test(name), mostBytes)
  } catch {
    // The next one that writes tries again.
  }
}

const own = /^[0-9a-f]{64}\.index$/

async function writeContent(path: string, { format, stamp, table, parts, facts }: SampleIndexContent): Promise<void> {
  await writeSampleIndex(path, table, () => ({ format, file: stamp, parts: parts?.() ?? 0, facts: facts() }))
}

/** One that is damaged. Where that cannot be, it stays. */
export function removeIndex(path: string): void {
  try {
    if (isIndexFile(path)) rmSync(path, { force: true })
  } catch {
    // Whoever may write there is told of the damage.
  }
}

function placeInCache(path: string, format: string): string | null {
  try {
    return indexInCache(path, format)
  } catch {
    return null
  }
}
