/** Index files beside local shards, so that every later start of training, on any machine that sees them, reads counts alone. */
import { dirname } from "node:path"
import { EnvironmentError, isInputError, oneLine, UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { usableProcessors } from "../../host/processors.ts"
import { expandShards, splitList } from "../expand.ts"
import type { Problem } from "../reinforced/sample.ts"
import { pathOf } from "../stores/local.ts"
import { isLocal } from "../stores/open.ts"
import { openSampleIndex } from "./index-file.ts"
import { indexBeside, indexCacheFolder, isWritable, trimIndexCache } from "./index-places.ts"
import { IndexPool } from "./index-pool.ts"
import { findShardIndex, type PlainShard, plainShard } from "./shard-index.ts"
import { problemsOf } from "./shard-table.ts"

export interface IndexShardsOptions {
  /** Lists of shards on this machine (`expandShards`). */
  readonly sources: string | readonly string[]
  /** Makes those again that are there and fit. */
  readonly again?: boolean
  /** Threads that read heads. Default: the processors. */
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly startProgress?: StartProgress
  readonly onNote?: (line: string) => void
}

/** A shard that gives fewer samples than it should, or none. */
export interface DamagedShard {
  readonly path: string
  readonly reason: string
  /** What to do about it, where that is known. */
  readonly hint?: string
  /** Whether it has an index of the samples that are left. */
  readonly isIndexed: boolean
}

export interface IndexedShards {
  readonly shards: number
  /** Indexes that were made now; the others were there. */
  readonly made: number
  /** How many of those made are in the cache of the user, because nothing can be written beside the shards. */
  readonly inCache: number
  /** Shards without an index where nothing can be written beside them, because they are read as fast as an index. */
  readonly small: number
  /** Shards without an index: compressed JSONL, which is unpacked at each start. */
  readonly compressed: number
  readonly samples: number
  readonly damaged: readonly DamagedShard[]
}

/**
 * Makes what is missing; what was made before and fits its shard stays. Damaged shards are told of at the end. Throws UserError
 * where there is no shard, or one is not on this machine.
 */
export async function indexShards(options: IndexShardsOptions): Promise<IndexedShards> {
  const { sources, threads = usableProcessors().count, startProgress = noProgress, signal } = options
  // Before a server is asked what it has.
  for (const source of [sources].flat().flatMap(splitList)) requireLocal(source)
  const paths = (await expandShards(sources)).map(requireLocal)
  await using pool = new IndexPool(threads)
  const indexer = new Indexer(pool, options)
  const progress = startProgress("indexing", paths.length, { unit: "shards" })
  let done = 0
  for await (const _ of mapOrdered(untilAborted(paths, signal), 2 * threads, (path) => indexer.index(path))) {
    progress.update(++done)
  }
  signal?.throwIfAborted()
  progress.done()
  if (indexer.inCache > 0) await trimIndexCache()
  return indexer.report(paths.length)
}

function* untilAborted(paths: readonly string[], signal: AbortSignal | undefined): Generator<string> {
  for (const path of paths) {
    if (signal?.aborted) return
    yield path
  }
}

function requireLocal(url: string): string {
  if (isLocal(url)) return pathOf(url)
  throw new UserError(
    `${url} is not on this machine, and indexes are written beside local shards`,
    "remote shards need none: they are indexed when they are copied",
  )
}

class Indexer {
  inCache = 0
  private made = 0
  private small = 0
  private compressed = 0
  private samples = 0
  private readonly damaged: DamagedShard[] = []
  /** By folder. */
  private readonly places = new Map<string, Promise<"beside" | "cache">>()

  constructor(
    private readonly pool: IndexPool,
    private readonly options: IndexShardsOptions,
  ) {}

  report(shards: number): IndexedShards {
    const { made, inCache, small, compressed, samples } = this
    const damaged = this.damaged.toSorted((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)))
    return { shards, made, inCache, small, compressed, samples, damaged }
  }

  /** Damage of a shard is kept for the report; throws whatever else goes wrong. */
  async index(path: string): Promise<void> {
    try {
      const shard = plainShard(path)
      if (!shard) this.compressed++
      else if (!(await this.takeFound(shard))) await this.make(shard)
    } catch (error) {
      if (!isInputError(error)) throw error
      const reason = oneLine(withoutPath(error.message, path), 400)
      this.damaged.push({ path, reason, ...(error.hint !== undefined && { hint: error.hint }), isIndexed: false })
    }
  }

  /** Whether there is an index already. */
  private async takeFound(shard: PlainShard): Promise<boolean> {
    if (this.options.again) return false
    const { path, format, stamp } = shard
    const isBeside = (await this.placeOf(path)) === "beside"
    using found = isBeside ? openSampleIndex(indexBeside(path), format, stamp) : findShardIndex(shard)
    const problems = found && problemsOf(found.facts)
    if (problems) this.take(path, found.count, problems)
    return problems !== null
  }

  private async make(shard: PlainShard): Promise<void> {
    const place = await this.placeOf(shard.path)
    const { table, parts, problems, reason, isKept } = await this.pool.make(shard, place)
    if (reason !== null) throw new EnvironmentError(`the index of ${shard.path} can be written nowhere: ${reason}`)
    if (isKept) this.made++
    else this.small++
    if (isKept && place === "cache") this.inCache++
    this.take(shard.path, table.length - 1 - 2 * parts, problems)
  }

  private placeOf(path: string): Promise<"beside" | "cache"> {
    const folder = dirname(path)
    const known = this.places.get(folder) ?? this.findPlace(folder)
    this.places.set(folder, known)
    return known
  }

  private async findPlace(folder: string): Promise<"beside" | "cache"> {
    if (await isWritable(folder)) return "beside"
    this.options.onNote?.(
      `${folder} cannot be written to: its indexes go to ${indexCacheFolder()}, for this user alone`,
    )
    return "cache"
  }

  private take(path: string, samples: number, problems: readonly Problem[]): void {
    this.samples += samples
    const lost = problems.filter(({ action }) => action === "dropped")
    if (lost.length === 0) return
    const [{ key, reason }] = lost as [Problem]
    const more = lost.length > 1 ? `, and ${lost.length - 1} more` : ""
    this.damaged.push({ path, reason: `${key === null ? "" : `${oneLine(key)}: `}${reason}${more}`, isIndexed: true })
  }
}

function withoutPath(message: string, path: string): string {
  return message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message
}
