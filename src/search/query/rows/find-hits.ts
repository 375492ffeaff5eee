/** The best rows for a vector, with what their words add, in one order: score descending, then the row. */
import type { Hits, Scanner, ScanRequest } from "../../scan/scanner.ts"
import { byRank, type Place } from "../../scan/top-hits.ts"
import { allRows, isIn, type Mask } from "./mask.ts"
import type { WordHits } from "./words.ts"

export interface RankedRow {
  readonly position: number
  readonly cosine: number
  /** float32: cosine + weight x the words' score. */
  readonly score: number
}

export interface RankRequest {
  readonly query: Float32Array
  readonly count: number
  readonly k: number
  readonly mask: Mask | null
  readonly words: WordHits
  readonly wordWeight: number
  readonly after: ScanRequest["after"] | undefined
  readonly threads: number | undefined
}

/**
 * Rows with a word of the query, some thousands, are scored one by one; the others come from a scan. On a first page it looks at
 * all rows, which is faster than leaving some out: a word never lowers a score, so that the best k by cosine hold all rows
 * without a word among the best k of both.
 */
export async function rankRows(scanner: Scanner, request: RankRequest): Promise<RankedRow[]> {
  const { query, count, k, mask, words, wordWeight, after, threads } = request
  const worded = wordWeight > 0 ? wordedRows(words, count, mask) : new Uint32Array(0)
  const isMasked = worded.length > 0 && after !== undefined
  const bits = isMasked ? without(mask?.bits ?? allRows(count), worded) : mask?.bits
  const scan = scanner.scan({
    ...{ query, count, k },
    ...(bits && { mask: bits }),
    ...(after && { after }),
    ...(threads !== undefined && { threads }),
  })
  if (worded.length === 0) return rowsOf(await scan)
  const [plain, cosines] = await Promise.all([scan, scanner.scores(query, worded)])
  const fused = [...worded].flatMap((position, i) => {
    const cosine = cosines[i]!
    const score = Math.fround(cosine + wordWeight * words.rows.get(position)!.score)
    return Number.isNaN(cosine) || !comesAfter({ score, position }, after) ? [] : [{ position, cosine, score }]
  })
  const others = rowsOf(plain).filter(({ position }) => !words.rows.has(position))
  return [...others, ...fused].sort(byRank).slice(0, k)
}

function wordedRows({ rows }: WordHits, count: number, mask: Mask | null): Uint32Array {
  return Uint32Array.from([...rows.keys()].filter((row) => isIn(row, count, mask))).sort()
}

function without(bits: Uint8Array, rows: Uint32Array): Uint8Array {
  const rest = bits.slice()
  for (const row of rows) rest[row >> 3]! &= ~(1 << (row & 7))
  return rest
}

function rowsOf({ positions, scores }: Hits): RankedRow[] {
  return Array.from(positions, (position, i) => ({ position, cosine: scores[i]!, score: scores[i]! }))
}

function comesAfter(row: Place, after: ScanRequest["after"] | undefined): boolean {
  return after === undefined || byRank(after, row) < 0
}
