/**
 * Where the sample of a key lies: shard, first byte and length, 24 bytes for each key. 12.8 million keys take 307 MB; what
 * goes beyond the limit of memory waits, sorted, in a temporary file, and is searched there.
 *
 * A record: the key's hash (two u32, most significant first), shard (u32), length (u32), first byte (f64).
 */
import { keyHash } from "../key-hash.ts"
import { type Run, Spill } from "../spill.ts"
import { joinDefaults } from "../tool-options.ts"

export interface Location {
  /** Number of the shard in its list. */
  readonly shard: number
  readonly start: number
  readonly length: number
}

/** A location with its number among all, from 0. */
export interface Found extends Location {
  readonly rank: number
}

export interface KeyIndexOptions {
  /** Records are held in memory up to this many bytes. */
  readonly maxBytes?: number
  /** Where the temporary file goes. */
  readonly folder?: string
}

const recordBytes = 24

/** By the first bits of the hash, so that each is sorted by itself. */
const partitionBits = 10

export class KeyIndex implements Disposable {
  private constructor(
    private readonly partitions: readonly Partition[],
    private readonly spill: Spill | null,
    /** Locations whose key has an earlier one already. */
    readonly duplicates: readonly Location[],
  ) {}

  /** Indexes all locations; of locations with one key, the first in the order given is kept. */
  static async build(
    locations: AsyncIterable<Location & { readonly key: string }>,
    { maxBytes = joinDefaults.maxIndexBytes, folder }: KeyIndexOptions = {},
  ): Promise<KeyIndex> {
    const builder = new Builder(maxBytes, folder)
    try {
      for await (const location of locations) builder.add(location)
      const { partitions, duplicates } = builder.finish()
      return new KeyIndex(partitions, builder.spill, duplicates)
    } catch (error) {
      builder.spill?.[Symbol.dispose]()
      throw error
    }
  }

  /** Keys. */
  get size(): number {
    return this.partitions.at(-1)!.firstRank + this.partitions.at(-1)!.count
  }

  find(key: string): Found | null {
    const [high, low] = keyHash(key)
    const { firstRank, count, read } = this.partitions[high >>> (32 - partitionBits)]!
    for (let [from, to] = [0, count]; from < to; ) {
      const middle = (from + to) >>> 1
      const record = read(middle)
      const order = record.readUInt32BE(0) - high || record.readUInt32BE(4) - low
      if (order === 0) return { ...locationOf(record), rank: firstRank + middle }
      if (order < 0) from = middle + 1
      else to = middle
    }
    return null
  }

  [Symbol.dispose](): void {
    this.spill?.[Symbol.dispose]()
  }
}

interface Partition {
  readonly firstRank: number
  readonly count: number
  readonly read: (i: number) => Buffer
}

function locationOf(record: Buffer): Location {
  return { shard: record.readUInt32BE(8), length: record.readUInt32BE(12), start: record.readDoubleBE(16) }
}

class Builder {
  spill: Spill | null = null
  private readonly pending = Array.from({ length: 2 ** partitionBits }, () => new RecordList())
  private bytes = 0

  constructor(
    private readonly maxBytes: number,
    private readonly folder: string | undefined,
  ) {}

  add({ key, shard, start, length }: Location & { readonly key: string }): void {
    const [high, low] = keyHash(key)
    const record = this.pending[high >>> (32 - partitionBits)]!.next()
    record.writeUInt32BE(high, 0)
    record.writeUInt32BE(low, 4)
    record.writeUInt32BE(shard, 8)
    record.writeUInt32BE(length, 12)
    record.writeDoubleBE(start, 16)
    this.bytes += recordBytes
    if (this.bytes > this.maxBytes) this.spillAll()
  }

  finish(): { partitions: Partition[]; duplicates: Location[] } {
    const duplicates: Location[] = []
    const partitions: Partition[] = []
    let firstRank = 0
    for (const list of this.pending) {
      const records = withoutDuplicates(sorted(list.take(this.spill)), duplicates)
      const count = records.length / recordBytes
      partitions.push({ firstRank, count, read: this.keep(records) })
      firstRank += count
    }
    return { partitions, duplicates }
  }

  private spillAll(): void {
    this.spill ??= new Spill(this.folder)
    for (const list of this.pending) list.spillTo(this.spill)
    this.bytes = 0
  }

  /** In memory, or after what the file has, where there is one. */
  private keep(records: Buffer): Partition["read"] {
    const { spill } = this
    if (!spill) return (i) => records.subarray(i * recordBytes, (i + 1) * recordBytes)
    const { start } = spill.append(records)
    return (i) => spill.read(start + i * recordBytes, recordBytes)
  }
}

/** Records of one partition in the order they came: those that were spilled, then those in memory. */
class RecordList {
  private buffer = Buffer.alloc(0)
  private used = 0
  private readonly spilled: Run[] = []

  /** Room for another record. */
  next(): Buffer {
    if (this.used === this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(16 * recordBytes, 2 * this.buffer.length))
      this.buffer.copy(larger)
      this.buffer = larger
    }
    this.used += recordBytes
    return this.buffer.subarray(this.used - recordBytes, this.used)
  }

  spillTo(spill: Spill): void {
    if (this.used > 0) this.spilled.push(spill.append(this.buffer.subarray(0, this.used)))
    this.used = 0
    this.buffer = Buffer.alloc(0)
  }

  /** All of them; the list is empty then. */
  take(spill: Spill | null): Buffer {
    const parts = this.spilled.map(({ start, length }) => spill!.read(start, length))
    const all = Buffer.concat([...parts, this.buffer.subarray(0, this.used)])
    this.buffer = Buffer.alloc(0)
    this.used = 0
    return all
  }
}

/** By hash; of equal ones, the order stays. */
function sorted(records: Buffer): Buffer {
  const order = Uint32Array.from({ length: records.length / recordBytes }, (_, i) => i * recordBytes)
  order.sort((a, b) => records.compare(records, b, b + 8, a, a + 8) || a - b)
  const result = Buffer.allocUnsafe(records.length)
  order.forEach((from, i) => {
    records.copy(result, i * recordBytes, from, from + recordBytes)
  })
  return result
}

/** @param duplicates gets the locations of those that are left out */
function withoutDuplicates(records: Buffer, duplicates: Location[]): Buffer {
  let kept = 0
  for (let from = 0; from < records.length; from += recordBytes) {
    const isFirst =
      kept === 0 || records.compare(records, kept - recordBytes, kept - recordBytes + 8, from, from + 8) !== 0
    if (!isFirst) duplicates.push(locationOf(records.subarray(from, from + recordBytes)))
    else {
      records.copy(records, kept, from, from + recordBytes)
      kept += recordBytes
    }
  }
  return records.subarray(0, kept)
}
