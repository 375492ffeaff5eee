/**
 * Which samples have a key that came before, in any of the shards: 16 bytes a sample, and up to half as much again as room for
 * more. What 512 MiB do not hold, 22 to 33 million samples, waits in a temporary file, 20 GB for 1.28 billion, and is looked
 * through part by part.
 *
 * A record: the key's hash (two u32, most significant first), shard (u32), number of the sample in it (u32). Keys are told
 * apart by 64 bits: that two of 1.28 billion different ones are taken for equal has a probability of 4 %.
 */
import { setImmediate } from "node:timers/promises"
import { KeySet } from "../key-hash.ts"
import { type Run, Spill } from "../spill.ts"

export interface Repeated {
  /** Place of the shard among those that were added. */
  readonly shard: number
  /** Its number among the shard's readable samples, from 0. */
  readonly sample: number
}

interface RepeatedKeysOptions {
  /** Records are held in memory up to this many bytes. */
  readonly maxBytes?: number
  /** Where the temporary file goes. */
  readonly folder?: string
}

const recordWords = 4

/** By the first bits of the hash, so that equal keys are in one part, in their order. */
const partBits = 8

export class RepeatedKeys implements Disposable {
  private readonly parts = Array.from({ length: 2 ** partBits }, () => new Part())
  private readonly maxBytes: number
  private readonly folder: string | undefined
  private spill: Spill | null = null
  private bytes = 0

  constructor({ maxBytes = 2 ** 29, folder }: RepeatedKeysOptions = {}) {
    this.maxBytes = maxBytes
    this.folder = folder
  }

  /** @param hashes two halves for each sample of the shard, in their order */
  add(shard: number, hashes: Uint32Array): void {
    for (let sample = 0; 2 * sample < hashes.length; sample++) {
      const [high, low] = [hashes[2 * sample]!, hashes[2 * sample + 1]!]
      const part = this.parts[high >>> (32 - partBits)]!
      if (this.bytes + part.growth > this.maxBytes) this.spillAll()
      this.bytes += part.growth
      part.add(high, low, shard, sample)
    }
  }

  /** In the order in which they were added, each but the first of its key. */
  async find(): Promise<Repeated[]> {
    const found: Repeated[][] = []
    for (const part of this.parts) {
      found.push(repeatedIn(part.take(this.spill)))
      // All parts together take seconds, in which nothing else would be answered.
      await setImmediate()
    }
    return found.flat().sort((a, b) => a.shard - b.shard || a.sample - b.sample)
  }

  [Symbol.dispose](): void {
    this.spill?.[Symbol.dispose]()
  }

  private spillAll(): void {
    this.spill ??= new Spill(this.folder)
    for (const part of this.parts) part.spillTo(this.spill)
    this.bytes = 0
  }
}

/** Records in the order they came: those that were spilled, then those in memory. */
class Part {
  private words = new Uint32Array(0)
  private used = 0
  private readonly spilled: Run[] = []

  /** Bytes that another record takes of the memory. */
  get growth(): number {
    return this.used < this.words.length ? 0 : this.largerBy() * 4
  }

  add(high: number, low: number, shard: number, sample: number): void {
    if (this.used === this.words.length) {
      const larger = new Uint32Array(this.words.length + this.largerBy())
      larger.set(this.words)
      this.words = larger
    }
    this.words[this.used++] = high
    this.words[this.used++] = low
    this.words[this.used++] = shard
    this.words[this.used++] = sample
  }

  spillTo(spill: Spill): void {
    if (this.used > 0) this.spilled.push(spill.append(new Uint8Array(this.words.buffer, 0, this.used * 4)))
    this.words = new Uint32Array(0)
    this.used = 0
  }

  /** All of them; the part is empty then. */
  take(spill: Spill | null): Uint32Array {
    const before = this.spilled.splice(0)
    const bytes = before.reduce((sum, { length }) => sum + length, 0)
    const all = new Uint32Array(bytes / 4 + this.used)
    let at = 0
    for (const { start, length } of before) {
      new Uint8Array(all.buffer, at, length).set(spill!.read(start, length))
      at += length
    }
    all.set(this.words.subarray(0, this.used), at / 4)
    this.words = new Uint32Array(0)
    this.used = 0
    return all
  }

  private largerBy(): number {
    return recordWords * Math.max(16, Math.ceil(this.words.length / recordWords / 2))
  }
}

function repeatedIn(records: Uint32Array): Repeated[] {
  const seen = new KeySet(Math.max(1024, records.length / recordWords))
  const found: Repeated[] = []
  for (let at = 0; at < records.length; at += recordWords) {
    const isNew = seen.add([records[at]!, records[at + 1]!])
    if (!isNew) found.push({ shard: records[at + 2]!, sample: records[at + 3]! })
  }
  return found
}
