/** The index of a local shard: found where it is kept, or made and kept. */
import { UserError } from "../../core/errors.ts"
import { atOnce } from "../../core/turns.ts"
import { openRandomAccess } from "../../host/files/files.ts"
import { inTurns } from "../../host/turns.ts"
import { shardFormat } from "../reinforced/read.ts"
import { type FileStamp, type SampleIndex, sampleIndexOf, stampOf } from "./index-file.ts"
import {
  findSampleIndex,
  indexCacheDefaults,
  keepSampleIndex,
  removeIndex,
  type SampleIndexContent,
  writeIndexBeside,
} from "./index-places.ts"
import { problemsOf, type ShardFormat, type ShardTable, tablingShard } from "./shard-table.ts"

/** A shard whose samples are told by positions in it. */
export interface PlainShard {
  readonly path: string
  readonly format: ShardFormat
  readonly stamp: FileStamp
}

/** Null where the shard is compressed. Throws UserError where the file cannot be read or is not a shard. */
export function plainShard(path: string): PlainShard | null {
  using file = openRandomAccess(path)
  const format = shardFormat(file)
  if (format !== "tar" && format !== "none") return null
  return { path, format: format === "tar" ? "tar" : "jsonl-shard", stamp: stampOf(path) }
}

/** The index that is kept of the shard as it is now, which the caller closes; null where there is none. */
export function findShardIndex({ path, format, stamp }: PlainShard): SampleIndex | null {
  const found = findSampleIndex(path, format, stamp)
  if (found === null || problemsOf(found.facts)) return found
  found.close()
  return null
}

/** `cache`: files that are large enough. */
export type IndexPlace = "beside" | "cache" | "nowhere"

export interface MadeIndex extends ShardTable {
  /** Whether a file has it now. */
  readonly isKept: boolean
  /** Why no file has it, where one should. */
  readonly reason: string | null
}

/** Throws UserError where the shard has no samples, or `beside` cannot be written. */
export async function makeShardIndex(shard: PlainShard, place: IndexPlace): Promise<MadeIndex> {
  using file = openRandomAccess(shard.path)
  const made = await inTurns(tablingShard(file, shard.format))
  const content: SampleIndexContent = {
    ...{ format: shard.format, stamp: shard.stamp, table: [made.table] },
    parts: () => made.parts,
    facts: () => ({ problems: made.problems }),
  }
  if (place === "beside") await writeIndexBeside(shard.path, content)
  const reason = place === "cache" ? await keepSampleIndex(shard.path, content) : null
  const isSmall = shard.stamp.bytes < indexCacheDefaults.smallestFile
  return { ...made, reason, isKept: place === "beside" || (place === "cache" && !isSmall && reason === null) }
}

/** The index in memory. */
export function indexInMemory(
  { path, format, stamp }: PlainShard,
  { table, parts, problems }: ShardTable,
): SampleIndex {
  return sampleIndexOf(`the index of ${path}`, table, { format, file: stamp, parts, facts: { problems } })
}

/**
 * For a shard whose index went away while it is in use: the one that was made again since, or one in memory, for which the
 * caller's thread is held. Throws UserError where the shard has changed.
 */
export function indexAgain(shard: PlainShard): SampleIndex {
  requireSame(shard)
  return findShardIndex(shard) ?? indexInMemory(shard, atOnceWithFile(shard))
}

/** The same for one that is damaged: the file is removed, so that the next start makes it again. */
export function indexAnew(shard: PlainShard, damaged: string): SampleIndex {
  requireSame(shard)
  removeIndex(damaged)
  return indexInMemory(shard, atOnceWithFile(shard))
}

function requireSame({ path, format, stamp }: PlainShard): void {
  const now = plainShard(path)
  if (now?.format !== format || now.stamp.bytes !== stamp.bytes || now.stamp.mtime !== stamp.mtime) {
    throw changedShard(path)
  }
}

export function changedShard(path: string): UserError {
  return new UserError(`${path} was changed while it is in use`, "begin again")
}

function atOnceWithFile({ path, format }: PlainShard): ShardTable {
  using file = openRandomAccess(path)
  return atOnce(tablingShard(file, format))
}
