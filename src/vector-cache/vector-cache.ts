/**
 * Vectors that were computed before, in the user's cache: of pictures by data set and model, of labels by model and templates.
 * A cache is never needed: what is missing or damaged is computed again, and a full disk ends its use, not the work.
 */
import { createHash } from "node:crypto"
import { rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { messageOf, oneLine } from "../core/errors.ts"
import { isObject, jsonOrNull } from "../core/json.ts"
import type { LabelStore, LabelTable } from "../core/text/label-store.ts"
import { markUsed, removeUnused } from "../host/files/bounded-folder.ts"
import { makeDirectory, readBytesIfThere, requireSmall, writeAtomically } from "../host/files/files.ts"
import { ownCacheDir } from "../native/own-cache.ts"
import { LabelTableFile } from "./label-table.ts"
import { openVectorFile, type VectorFile, VectorWriter } from "./vector-file.ts"

export const cacheDefaults = { mostBytes: 8 * 2 ** 30 } as const

/** `vectors` in this program's cache folder. */
export function defaultCacheFolder(): string {
  return join(ownCacheDir(process.env), "vectors")
}

export interface VectorCacheOptions {
  /** When all files have more, those that were not used for longest are removed. */
  readonly mostBytes?: number
  /** Says why the cache is not used any more. */
  readonly onNote?: (line: string) => void
}

/** What decides a file's content, as text: equal texts are the same file. */
export type CacheKey = readonly string[]

export class VectorCache {
  private isOff = false

  constructor(
    private readonly folder: string,
    private readonly options: VectorCacheOptions = {},
  ) {}

  /** Null where it is not there, or is damaged; then it was removed. The caller disposes of it. */
  async vectors(key: CacheKey, width: number): Promise<VectorFile | null> {
    const path = this.path(key, "vectors")
    const found = await openVectorFile(path, width)
    if (found) markUsed(path)
    else await rm(path, { force: true }).catch(() => {})
    return found
  }

  /** Where new vectors are written while they come. */
  async writer(key: CacheKey, width: number): Promise<CacheWriter> {
    const made = await this.guarded(() => VectorWriter.create(this.path(key, "vectors"), width))
    return new CacheWriter(made, (work) => this.guarded(work))
  }

  /**
   * Where vectors of labels by a model are kept, each by itself.
   *
   * @param mostRead a file of more bytes is left alone, because it is read to find labels
   */
  labelStore(model: CacheKey, mostRead: number = Number.POSITIVE_INFINITY): LabelStore {
    return {
      open: async (_, templates, width) => {
        const key = ["label table 1", ...model, JSON.stringify(templates)]
        const file = await stat(this.path(key, "labels")).catch(() => null)
        return file && file.size > mostRead ? null : this.labelTable(key, width)
      },
    }
  }

  private labelTable(key: CacheKey, width: number): LabelTable {
    const { mostBytes = cacheDefaults.mostBytes } = this.options
    return new LabelTableFile(this.path(key, "labels"), {
      ...{ key: JSON.stringify(key), width, mostBytes: Math.min(mostTableBytes, mostBytes / 2) },
      guarded: (work) => this.guarded(work),
      onEnd: () => this.trim(),
    })
  }

  /** Lines of JSON, checked as a whole; null where they are not there or are damaged. */
  async records(key: CacheKey): Promise<unknown[] | null> {
    const path = this.path(key, "records")
    const bytes = await readBytesIfThere(path, requireSmall(path, mostRecordBytes)).catch(() => null)
    const found = bytes && parseRecords(bytes)
    if (found) markUsed(path)
    else await rm(path, { force: true }).catch(() => {})
    return found
  }

  async storeRecords(key: CacheKey, records: readonly unknown[]): Promise<void> {
    await this.guarded(async () => {
      await makeDirectory(this.folder)
      await writeAtomically(this.path(key, "records"), recordLines(records))
    })
  }

  /** Removes what was not used for longest, until the rest is small enough. */
  async trim(): Promise<void> {
    const { mostBytes = cacheDefaults.mostBytes } = this.options
    await this.guarded(() => removeUnused(this.folder, (name) => own.test(name), mostBytes))
  }

  /** Null where the cache cannot be written: it is left alone then. */
  private async guarded<T>(work: () => Promise<T>): Promise<T | null> {
    if (this.isOff) return null
    try {
      return await work()
    } catch (error) {
      this.isOff = true
      this.options.onNote?.(`vectors are not kept from here on: ${oneLine(messageOf(error), 300)}`)
      return null
    }
  }

  private path(key: CacheKey, kind: "vectors" | "records" | "labels"): string {
    return join(this.folder, `${createHash("sha256").update(JSON.stringify(key)).digest("hex")}.${kind}`)
  }
}

/** Half a million labels of 512 values; looking labels up reads all of them. */
const mostTableBytes = 2 ** 30

/** Texts of Node are not longer. */
const mostRecordBytes = 2 ** 28

const own = /^[0-9a-f]{64}\.(vectors|records|labels)$/

/** One that does nothing after the first failure. */
class CacheWriter {
  constructor(
    private writer: VectorWriter | null,
    private readonly guarded: (work: () => Promise<void>) => Promise<unknown>,
  ) {}

  async write(rows: Float32Array): Promise<void> {
    await this.run((writer) => writer.write(rows))
  }

  async commit(): Promise<void> {
    await this.run((writer) => writer.commit())
    this.writer = null
  }

  /** Where it was not completed; after `commit` it does nothing. */
  async abandon(): Promise<void> {
    await this.writer?.abandon()
    this.writer = null
  }

  private async run(work: (writer: VectorWriter) => Promise<void>): Promise<void> {
    const { writer } = this
    if (!writer) return
    let isDone = false
    await this.guarded(async () => {
      await work(writer)
      isDone = true
    })
    if (!isDone) await this.abandon()
  }
}

export type { CacheWriter }

function* recordLines(records: readonly unknown[]): Generator<string> {
  const hash = createHash("sha256")
  for (const record of records) {
    const line = `${JSON.stringify(record)}\n`
    hash.update(line)
    yield line
  }
  yield `${JSON.stringify({ records: records.length, sha256: hash.digest("hex") })}\n`
}

function parseRecords(bytes: Uint8Array): unknown[] | null {
  const end = bytes.lastIndexOf(10, bytes.length - 2) + 1
  const last = jsonOrNull(Buffer.from(bytes.subarray(end)).toString("utf8"))
  const content = bytes.subarray(0, end)
  if (!isObject(last) || last.sha256 !== createHash("sha256").update(content).digest("hex")) return null
  const lines = Buffer.from(content).toString("utf8").split("\n").slice(0, -1)
  return lines.map(jsonOrNull)
}
