/**
 * Near pairs to groups. There may be a hundred pairs for each picture, so they stay in typed arrays, and work on them is done in
 * parts, between which a signal is looked at.
 */
import { setImmediate } from "node:timers/promises"
import type { Pairs } from "../../scan/scanner.ts"
import type { FoundContent } from "../rows/look-up.ts"

export interface DuplicatePicture {
  /** Paths of all files with these bytes that pass the filters. */
  readonly paths: readonly string[]
  /** With the best of the group; 1 for itself. */
  readonly cosine: number
  readonly width: number
  readonly height: number
  readonly bytes: number
  /** Null where it was not measured: it decides only between pictures of as many pixels. */
  readonly sharpness: number | null
  /** SHA-256 of the bytes, hexadecimal. */
  readonly hash: string
  readonly position: number
}

/** The best by pixels, then sharpness, then bytes. */
export interface DuplicateGroup {
  readonly best: DuplicatePicture
  /** The most similar first; empty where the same bytes are in several files. */
  readonly others: readonly DuplicatePicture[]
}

/** Some milliseconds of work. */
const atOnce = 2 ** 16

/** Calls `each` with 0 to count - 1. Throws the signal's reason, at most some milliseconds after it was aborted. */
export async function inParts(
  count: number,
  signal: AbortSignal | undefined,
  each: (i: number) => void,
): Promise<void> {
  for (let from = 0; from < count; from += atOnce) {
    signal?.throwIfAborted()
    for (let i = from; i < Math.min(count, from + atOnce); i++) each(i)
    await setImmediate()
  }
}

/** Centres are taken best first: all that are near one and in no group yet are its group. */
export async function groupsOf(
  contents: ReadonlyMap<number, FoundContent>,
  pairs: Pairs,
  signal?: AbortSignal,
): Promise<DuplicateGroup[]> {
  const near = await Neighbours.of(pairs, signal)
  const taken = new Set<number>()
  const groups: DuplicateGroup[] = []
  const all = [...contents.values()].sort(betterFirst)
  await inParts(all.length, signal, (i) => {
    const best = all[i]!
    if (taken.has(best.position)) return
    taken.add(best.position)
    const others = near.to(best.position).filter(({ row }) => contents.has(row) && !taken.has(row))
    for (const { row } of others) taken.add(row)
    if (others.length === 0 && best.paths.length === 1) return
    others.sort((x, y) => y.cosine - x.cosine || x.row - y.row)
    groups.push({
      best: pictureOf(best, 1),
      others: others.map(({ row, cosine }) => pictureOf(contents.get(row)!, cosine)),
    })
  })
  return groups.sort((x, y) => (x.best.paths[0]! < y.best.paths[0]! ? -1 : 1))
}

interface Neighbour {
  readonly row: number
  readonly cosine: number
}

/** Those that are near each row: the numbers of its pairs, one row after the other. */
class Neighbours {
  private constructor(
    private readonly pairs: Pairs,
    /** Row r has pairs[starts[r]] to pairs[starts[r + 1]]. */
    private readonly starts: Uint32Array,
    private readonly numbers: Uint32Array,
  ) {}

  static async of(pairs: Pairs, signal: AbortSignal | undefined): Promise<Neighbours> {
    const { a, b } = pairs
    // b is the larger one of a pair.
    const rows = b.reduce((most, row) => Math.max(most, row + 1), 0)
    const starts = new Uint32Array(rows + 2)
    await inParts(a.length, signal, (i) => {
      starts[a[i]! + 2]!++
      starts[b[i]! + 2]!++
    })
    for (let row = 2; row < starts.length; row++) starts[row]! += starts[row - 1]!
    const numbers = new Uint32Array(2 * a.length)
    // Afterwards starts[r + 1], which was the begin of r, is its end.
    await inParts(a.length, signal, (i) => {
      numbers[starts[a[i]! + 1]!++] = i
      numbers[starts[b[i]! + 1]!++] = i
    })
    return new Neighbours(pairs, starts, numbers)
  }

  to(row: number): Neighbour[] {
    const { a, b, scores } = this.pairs
    if (row + 1 >= this.starts.length) return []
    const own = this.numbers.subarray(this.starts[row], this.starts[row + 1])
    return Array.from(own, (i) => ({ row: a[i] === row ? b[i]! : a[i]!, cosine: scores[i]! }))
  }
}

function betterFirst(x: FoundContent, y: FoundContent): number {
  const pixels = y.width * y.height - x.width * x.height
  return pixels || (y.sharpness ?? -1) - (x.sharpness ?? -1) || y.bytes - x.bytes || x.position - y.position
}

function pictureOf(
  { paths, width, height, bytes, sharpness, hash, position }: FoundContent,
  cosine: number,
): DuplicatePicture {
  return { paths, cosine: Math.min(cosine, 1), width, height, bytes, sharpness, hash, position }
}
