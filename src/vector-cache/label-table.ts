/**
 * Vectors of labels by one model in the same templates, as a file to which records are added while they come:
 *
 *     96 bytes      header: format, width
 *     record        16 bytes     beginning of the SHA-256 of the label
 *                   4 x width    the vector, float32, little-endian
 *                   16 bytes     beginning of the SHA-256 of the table's key and the record so far
 *
 * A record counts by itself, so that a run that is killed has kept what it added, and several processes may add at once. A
 * damaged one is as one that is not there; then, and where the end is cut off, the file is written anew before more is added.
 */
import { createHash, type Hash } from "node:crypto"
import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { dirname } from "node:path"
import { setImmediate, setTimeout as sleep } from "node:timers/promises"
import type { LabelTable } from "../core/text/label-store.ts"
import { markUsed } from "../host/files/bounded-folder.ts"
import { makeDirectory, writeAtomically } from "../host/files/files.ts"
import { readWithoutBlocking } from "../host/files/read-at.ts"
import { fill } from "./vector-file.ts"

const headerBytes = 96
const hashBytes = 16
const blockBytes = 2 ** 22
/** Another process may be in the middle of adding. */
const addingMilliseconds = 100

export interface TableOptions {
  /** Says which model and templates the vectors are of. */
  readonly key: string
  readonly width: number
  /** A file of more is written anew with the newer half of its records. */
  readonly mostBytes: number
  /** Runs work that may fail, and tells of it. */
  readonly guarded: (work: () => Promise<void>) => Promise<unknown>
  /** Is called when all is added. */
  readonly onEnd: () => Promise<void>
}

/** Why a file takes no more records as it is. */
type Fault = "foreign" | "damaged" | "full"

export class LabelTableFile implements LabelTable {
  /** Bytes of a record. */
  private readonly size: number
  private readonly header: Buffer
  private readonly ofKey: Hash
  private hasDamage = false

  constructor(
    private readonly path: string,
    private readonly options: TableOptions,
  ) {
    const { width, key } = options
    this.ofKey = createHash("sha256").update(key)
    this.size = 2 * hashBytes + 4 * width
    this.header = Buffer.from(`mobileclip-label-table 1 ${width}`.padEnd(headerBytes - 1).concat("\n"))
  }

  async find(labels: readonly string[], vectors: Float32Array): Promise<number[]> {
    const wanted = await rowsByHash(labels)
    const file = await open(this.path, readWithoutBlocking).catch(() => null)
    try {
      if (file && (await this.isOurs(file))) {
        await this.take(file, wanted, vectors)
        markUsed(this.path)
      }
    } catch {
      // A file that cannot be read has nothing.
      this.hasDamage = true
    } finally {
      await file?.close()
    }
    return [...wanted.values()].flat().sort((a, b) => a - b)
  }

  async keep(labels: readonly string[], vectors: Float32Array): Promise<void> {
    const records = await this.recordsOf(labels, vectors)
    if (records.length > 0) await this.options.guarded(() => this.add(records))
  }

  async end(): Promise<void> {
    await this.options.onEnd()
  }

  /** Takes what is wanted out of the map, and puts it into its rows. */
  private async take(file: FileHandle, wanted: Map<string, number[]>, vectors: Float32Array): Promise<void> {
    const { width } = this.options
    for await (const record of this.recordsIn(file)) {
      if (wanted.size === 0) return
      const label = record.toString("latin1", 0, hashBytes)
      const rows = wanted.get(label)
      if (!rows) continue
      const vector = this.vectorIn(record)
      if (!vector) this.hasDamage = true
      else {
        for (const row of rows) vectors.set(vector, row * width)
        wanted.delete(label)
      }
    }
  }

  /** All records that are whole in length, each a view that is valid until the next one is asked for. */
  private async *recordsIn(file: FileHandle, first = 0): AsyncGenerator<Buffer> {
    const block = Buffer.alloc(this.size * Math.max(1, Math.floor(blockBytes / this.size)))
    for (let at = headerBytes + first * this.size; ; at += block.length) {
      const bytes = await fill(file, block, at)
      for (let start = 0; start + this.size <= bytes; start += this.size) yield block.subarray(start, start + this.size)
      if (bytes < block.length) return
    }
  }

  /** Null where the record is damaged, or another table's. */
  private vectorIn(record: Buffer): Float32Array | null {
    const end = this.size - hashBytes
    if (!this.digest(record.subarray(0, end)).equals(record.subarray(end))) return null
    const vector = new Float32Array(this.options.width)
    record.copy(new Uint8Array(vector.buffer), 0, hashBytes, end)
    return vector.every(Number.isFinite) ? vector : null
  }

  /** Each label once; vectors with values that are not numbers are left out. */
  private async recordsOf(labels: readonly string[], vectors: Float32Array): Promise<Buffer> {
    const { width } = this.options
    const records = [...(await rowsByHash(labels))].flatMap(([label, [row]]) => {
      const vector = vectors.subarray(row! * width, (row! + 1) * width)
      if (!vector.every(Number.isFinite)) return []
      const content = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)
      const record = Buffer.concat([Buffer.from(label, "latin1"), content])
      return [record, this.digest(record)]
    })
    return Buffer.concat(records)
  }

  private digest(record: Uint8Array): Buffer {
    return this.ofKey.copy().update(record).digest().subarray(0, hashBytes)
  }

  private async add(records: Buffer): Promise<void> {
    await makeDirectory(dirname(this.path))
    const fault = await this.faultFor(records.length)
    if (fault) await this.writeAnew(fault)
    const file = await open(this.path, constants.O_WRONLY | constants.O_APPEND | (constants.O_NONBLOCK ?? 0))
    try {
      for (let done = 0; done < records.length; ) done += (await file.write(records, done)).bytesWritten
    } finally {
      await file.close()
    }
  }

  /** What hinders adding so many bytes. */
  private async faultFor(bytes: number): Promise<Fault | null> {
    const file = await open(this.path, readWithoutBlocking).catch(() => null)
    try {
      if (!file || !(await this.isOurs(file))) return "foreign"
      if (this.hasDamage || (await this.isCut(file))) return "damaged"
      return (await file.stat()).size + bytes > this.options.mostBytes ? "full" : null
    } finally {
      await file?.close()
    }
  }

  private async isOurs(file: FileHandle): Promise<boolean> {
    const found = Buffer.alloc(headerBytes)
    const about = await file.stat()
    // Several processes may add at once, and make it a little larger than it may be.
    if (!about.isFile() || about.size > 2 * this.options.mostBytes) return false
    return (await fill(file, found, 0)) === headerBytes && found.equals(this.header)
  }

  private async isCut(file: FileHandle): Promise<boolean> {
    const hasPart = async () => ((await file.stat()).size - headerBytes) % this.size !== 0
    if (!(await hasPart())) return false
    await sleep(addingMilliseconds)
    return hasPart()
  }

  private async writeAnew(fault: Fault): Promise<void> {
    await writeAtomically(this.path, fault === "foreign" ? [this.header] : this.wholeRecords(fault))
    this.hasDamage = false
  }

  private async *wholeRecords(fault: Fault): AsyncGenerator<Uint8Array> {
    yield this.header
    const file = await open(this.path, readWithoutBlocking)
    try {
      const all = Math.floor(((await file.stat()).size - headerBytes) / this.size)
      for await (const record of this.recordsIn(file, fault === "full" ? Math.ceil(all / 2) : 0))
        if (this.vectorIn(record)) yield record
    } finally {
      await file.close()
    }
  }
}

/** Labels that are hashed before other work has its turn: some hundredths of a second. */
const labelsAtOnce = 20_000

/** Rows of each label, under the beginning of its hash: lone surrogates are written as they are, so that no two labels are one. */
async function rowsByHash(labels: readonly string[]): Promise<Map<string, number[]>> {
  const rows = new Map<string, number[]>()
  for (const [row, label] of labels.entries()) {
    if (row % labelsAtOnce === labelsAtOnce - 1) await setImmediate()
    const hash = createHash("sha256").update(label, "utf16le").digest().toString("latin1", 0, hashBytes)
    const own = rows.get(hash)
    if (own) own.push(row)
    else rows.set(hash, [row])
  }
  return rows
}
