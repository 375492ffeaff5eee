/** Keys of samples as 64 bits, and sets of them that take 8 to 16 bytes a key whatever its length. */
import { createHash } from "node:crypto"

/** Two halves of 32 bits. Among 12.8 million keys, two share it with a probability of 4 in a million. */
type KeyHash = readonly [high: number, low: number]

export function keyHash(key: string): KeyHash {
  const digest = createHash("sha256").update(key).digest()
  return [digest.readUInt32BE(0), digest.readUInt32BE(4)]
}

/** Share of the slots in use before their number doubles. */
const fullest = 0.8

/** Open addressing with linear probing; the hash 0 stands for a free slot. */
export class KeySet {
  size = 0
  private slots: Uint32Array

  constructor(slots = 1024) {
    this.slots = new Uint32Array(2 * slots)
  }

  /** Whether the key with this hash is new. */
  add(hash: KeyHash): boolean {
    if (this.size >= (this.slots.length / 2) * fullest) this.grow()
    const isNew = insert(this.slots, hash)
    if (isNew) this.size += 1
    return isNew
  }

  private grow(): void {
    const larger = new Uint32Array(2 * this.slots.length)
    for (let i = 0; i < this.slots.length; i += 2) {
      const [high, low] = [this.slots[i]!, this.slots[i + 1]!]
      if (high !== 0 || low !== 0) insert(larger, [high, low])
    }
    this.slots = larger
  }
}

function insert(slots: Uint32Array, [high, hashLow]: KeyHash): boolean {
  const low = high === 0 && hashLow === 0 ? 1 : hashLow
  const count = slots.length / 2
  for (let slot = low % count; ; slot = (slot + 1) % count) {
    const [a, b] = [slots[2 * slot]!, slots[2 * slot + 1]!]
    if (a === high && b === low) return false
    if (a !== 0 || b !== 0) continue
    slots[2 * slot] = high
    slots[2 * slot + 1] = low
    return true
  }
}
