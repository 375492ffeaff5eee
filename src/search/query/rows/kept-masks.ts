/**
 * Masks that a process keeps: by their filters, as long as the index is as it was. Where only what never changes of contents matters,
 * a mask is continued with those that came; contents without a file are taken out of it each time.
 */
import type { IndexStore } from "../../store/index-store.ts"
import type { Filters } from "../filters.ts"
import { dataVersion } from "./data-version.ts"
import { addFiltered, allRows, firstBits, goneRows, isFiltering, type Mask, mayChange } from "./mask.ts"

/** A mask of a million rows has 125 KB. */
const mostKept = 64

interface Kept {
  readonly bits: Uint8Array
  readonly count: number
  /** The index's state, for masks that may change. */
  readonly version: number
}

export class KeptMasks {
  private readonly kept = new Map<string, Kept>()
  private gone: { readonly version: number; readonly rows: readonly number[] } | null = null

  /** Within a transaction. Null: all of the first `count` rows may be hits. */
  mask(store: IndexStore, filters: Filters, count: number, without: readonly number[] = []): Mask | null {
    const absent = [...this.goneOf(store, count), ...without]
    if (!isFiltering(filters)) return absent.length === 0 ? null : cleared(allRows(count), absent, count)
    return cleared(this.filtered(store, filters, count).slice(), absent, count)
  }

  /** How many of the first `count` rows are pictures that have a file. Within a transaction. */
  present(store: IndexStore, count: number): number {
    return count - this.goneOf(store, count).length
  }

  private goneOf(store: IndexStore, count: number): readonly number[] {
    const version = dataVersion(store)
    if (this.gone?.version !== version) this.gone = { version, rows: goneRows(store) }
    return this.gone.rows.filter((row) => row < count)
  }

  private filtered(store: IndexStore, filters: Filters, count: number): Uint8Array {
    const version = dataVersion(store)
    const key = JSON.stringify(filters, Object.keys(filters).sort().concat(partNames))
    const found = this.kept.get(key)
    const isCurrent = found && (found.version === version || !mayChange(filters))
    if (isCurrent && found.count >= count) return firstBits(found.bits, count)
    const bits = new Uint8Array((count + 7) >> 3)
    const from = isCurrent ? found.count : 0
    if (isCurrent) bits.set(found.bits)
    addFiltered(store, filters, bits, from, count)
    this.kept.delete(key)
    this.kept.set(key, { bits, count, version })
    if (this.kept.size > mostKept) this.kept.delete(this.kept.keys().next().value!)
    return bits
  }
}

/** Names within the values of filters, which JSON.stringify would leave out. */
const partNames = [
  ...["from", "until", "than", "unit", "pixels", "bytes", "longer", "shorter", "latitude", "longitude", "kilometers"],
]

function cleared(bits: Uint8Array, rows: readonly number[], count: number): Mask {
  for (const row of rows) if (row < count) bits[row >> 3]! &= ~(1 << (row & 7))
  return { bits, left: ones(bits) }
}

const onesOfByte = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length)

function ones(bits: Uint8Array): number {
  let sum = 0
  for (const byte of bits) sum += onesOfByte[byte]!
  return sum
}
