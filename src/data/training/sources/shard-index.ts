/**
 * The samples of a local shard, for reads in any order. Where its bytes are told by an index file, only counts are in memory;
 * what is small or compressed, and what no file can be kept of, has an index in memory, of 8 bytes a sample. A JSONL file that
 * is compressed is unpacked into another file first, in UTF-8.
 */
import { createWriteStream } from "node:fs"
import { pipeline } from "node:stream/promises"
import { isInputError, UserError } from "../../../core/errors.ts"
import { utf8Chunks } from "../../../core/text/decode-text.ts"
import { fileError } from "../../../host/files/file-error.ts"
import { openRandomAccess } from "../../../host/files/files.ts"
import { inTurns } from "../../../host/turns.ts"
import { type Compression, unpacked } from "../../reinforced/jsonl/lines.ts"
import { shardFormat } from "../../reinforced/read.ts"
import type { Problem } from "../../reinforced/sample.ts"
import { DamagedIndex, type Extent, openSampleIndex, type SampleIndex, stampOf } from "../../sample-index/index-file.ts"
import type { IndexPool } from "../../sample-index/index-pool.ts"
import {
  changedShard,
  findShardIndex,
  indexAgain,
  indexAnew,
  indexInMemory,
  type PlainShard,
  plainShard,
} from "../../sample-index/shard-index.ts"
import { problemsOf, tablingShard } from "../../sample-index/shard-table.ts"
import { isLocal } from "../../stores/open.ts"
import type { SampleList, SampleLocation } from "./location.ts"
import type { OpenIndexes } from "./open-indexes.ts"

export interface IndexOptions {
  /** Which members are needed, by extension. */
  readonly extensions: readonly string[]
  /** A name for a file that is removed with the others. */
  readonly temporaryPath: () => Promise<string>
  /** Is told of samples that a shard does not give. */
  readonly report: (url: string, problem: Problem) => void
  readonly indexes: OpenIndexes
  /** Makes what is missing. */
  readonly pool: IndexPool
  /** Is told of shards whose indexes were made, and are large enough to be kept: why one is not, else null. */
  readonly onMade: (reason: string | null) => void
}

/** The file that the samples are in, where it is not the shard itself. */
export interface ShardIndex extends SampleList {
  readonly unpacked: string | null
  close(): void
}

/**
 * Throws UserError on a file that cannot be read, is not a shard or has no samples.
 *
 * @param url the address of which the file is a copy, for messages
 */
export async function indexShard(path: string, url: string, options: IndexOptions): Promise<ShardIndex> {
  const shard = plainShard(path)
  if (!shard) return indexCompressed(path, options)
  const index = findShardIndex(shard) ?? (await makeIndex(shard, url, options))
  for (const problem of problemsOf(index.facts)!) options.report(url, problem)
  return new IndexedShard(shard, index.withoutFacts(), options)
}

/** A copy of a remote shard has another path each time, so that its index is not kept. */
async function makeIndex(shard: PlainShard, url: string, { pool, onMade }: IndexOptions): Promise<SampleIndex> {
  const made = await pool.make(shard, isLocal(url) ? "cache" : "nowhere")
  if (made.isKept || made.reason !== null) onMade(made.reason)
  return (made.isKept ? findShardIndex(shard) : null) ?? indexInMemory(shard, made)
}

class IndexedShard implements ShardIndex {
  readonly count: number
  /** Where the index is, if it is a file. */
  private readonly place: string

  constructor(
    private readonly shard: PlainShard,
    index: SampleIndex,
    private readonly options: Pick<IndexOptions, "extensions" | "indexes">,
    readonly unpacked: string | null = null,
  ) {
    this.count = index.count
    this.place = index.name
    options.indexes.add(this, index)
  }

  location(number: number): SampleLocation {
    const { path, format } = this.shard
    const extents = this.extents(number)
    if (format === "tar") return { kind: "tar", path, extents, extensions: this.options.extensions }
    return { kind: "line", path, ...extents[0]! }
  }

  close(): void {
    this.options.indexes.remove(this)
  }

  /** A file that is damaged, or was cut, is not needed. */
  private extents(number: number): readonly Extent[] {
    const { indexes } = this.options
    try {
      return indexes.get(this, () => this.reopen()).extents(number)
    } catch (error) {
      if (!(error instanceof DamagedIndex)) throw error
      indexes.remove(this)
      indexes.add(this, this.ofAsMany(indexAnew(this.shard, this.place)))
      return indexes.get(this, () => this.reopen()).extents(number)
    }
  }

  private reopen(): SampleIndex {
    const { format, stamp } = this.shard
    return this.ofAsMany(openSampleIndex(this.place, format, stamp) ?? indexAgain(this.shard))
  }

  /** Positions were given out by the number of samples. */
  private ofAsMany(index: SampleIndex): SampleIndex {
    if (index.count === this.count) return index.withoutFacts()
    index.close()
    throw changedShard(this.shard.path)
  }
}

async function indexCompressed(path: string, options: IndexOptions): Promise<ShardIndex> {
  const unpacked = await options.temporaryPath()
  await unpack(path, compressionOf(path), unpacked)
  using file = openRandomAccess(unpacked)
  const table = await inTurns(tablingShard({ ...file, name: path }, "jsonl-shard"))
  const shard: PlainShard = { path: unpacked, format: "jsonl-shard", stamp: stampOf(unpacked) }
  return new IndexedShard(shard, indexInMemory(shard, table), options, unpacked)
}

function compressionOf(path: string): Compression {
  using file = openRandomAccess(path)
  const format = shardFormat(file)
  return format === "tar" ? "none" : format
}

async function unpack(path: string, compression: Compression, to: string): Promise<void> {
  try {
    await pipeline(utf8Chunks(unpacked(path, compression), "its text"), createWriteStream(to))
  } catch (error) {
    const hint = "get or write the shard again"
    if (isInputError(error)) throw new UserError(`${path}: ${error.message}`, error.hint ?? hint)
    throw fileError(error, "writing", to)
  }
}
