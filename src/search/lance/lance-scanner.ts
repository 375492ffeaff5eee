/**
 * Search of an index whose vectors are in a LanceDB table. The table finds candidates; their scores are computed here from their
 * vectors, so that they are the same numbers in a scan, for single rows and on the next page.
 */
import { assert, UserError } from "../../core/errors.ts"
import { type Hits, isSet, type Pairs, type Scanner, type ScanRequest } from "../scan/scan-request.ts"
import { byRank, hitsOf, type Place } from "../scan/top-hits.ts"
import type { FoundRows, VectorTable } from "./vector-table.ts"

/** Up to so many rows are named in the search; of more, candidates are fetched until enough are among them. */
const mostNamed = 5000

/** Candidates beyond those that are wanted: rounding may have put a hit after them. */
const slack = 32

export class LanceScanner implements Scanner {
  readonly kind = "lancedb"
  readonly dim: number

  constructor(private readonly table: VectorTable) {
    this.dim = table.dim
  }

  async scan(request: ScanRequest): Promise<Hits> {
    const { query, count, k, mask, after, exact = false } = request
    const named = mask === undefined ? null : positionsIn(mask, count, mostNamed)
    if (named?.length === 0) return hitsOf([])
    const isWanted = (row: Place) =>
      row.position < count && isSet(mask, row.position) && (after === undefined || byRank(after, row) < 0)
    const most = after === undefined ? {} : { most: after.score }
    const search = { query, ...most, ...(named && { positions: named }) }
    // An index looks into some parts only: where these have too few rows, all are compared.
    for (let limit = k + slack, isExact = exact || named !== null; ; ) {
      const found = await this.table.search({ ...search, limit, exact: isExact })
      const ranked = rankedRows(found, query).filter(isWanted)
      const isAll = found.positions.length < limit
      if (ranked.length >= k + slack / 2 || (isAll && isExact)) return hitsOf(ranked.slice(0, k))
      if (isAll) isExact = true
      else limit *= 4
    }
  }

  async scanMany(queries: readonly Float32Array[], request: Omit<ScanRequest, "query" | "after">): Promise<Hits[]> {
    return Promise.all(queries.map((query) => this.scan({ ...request, query, exact: true })))
  }

  usesCodes(): boolean {
    return false
  }

  async scores(query: Float32Array, positions: Uint32Array): Promise<Float32Array> {
    const rows = await this.read(positions)
    return Float32Array.from(positions, (_, i) => dot(rows, i, query))
  }

  async read(positions: Uint32Array): Promise<Float32Array> {
    const { dim } = this
    const found = await this.table.read([...new Set(positions)])
    const places = new Map(Array.from(found.positions, (position, i) => [position, i]))
    const rows = new Float32Array(positions.length * dim).fill(Number.NaN)
    positions.forEach((position, i) => {
      const place = places.get(position)
      if (place !== undefined) rows.set(found.vectors.subarray(place * dim, (place + 1) * dim), i * dim)
    })
    return rows
  }

  async nearPairs(): Promise<Pairs> {
    throw new UserError(
      "near-duplicates are not searched in a LanceDB table",
      "export the index, and import it into one that has its vectors in a file",
    )
  }

  close(): void {
    this.table[Symbol.dispose]()
  }
}

/** Best first; equal scores by position. */
function rankedRows({ positions, vectors }: FoundRows, query: Float32Array): Place[] {
  return Array.from(positions, (position, i) => ({ position, score: dot(vectors, i, query) })).sort(byRank)
}

/** As a float32: what a page ends with is compared with what the next one finds. */
function dot(rows: Float32Array, row: number, query: Float32Array): number {
  let sum = 0
  for (let i = 0; i < query.length; i++) sum += rows[row * query.length + i]! * query[i]!
  return Math.fround(sum)
}

/** Null where there are more than `most`. */
function positionsIn(mask: Uint8Array, count: number, most: number): number[] | null {
  const found: number[] = []
  for (let byte = 0; byte * 8 < count; byte++) {
    if (mask[byte] === 0) continue
    for (let position = byte * 8; position < Math.min(count, byte * 8 + 8); position++) {
      if (isSet(mask, position)) found.push(position)
    }
    if (found.length > most) return null
  }
  assert(found.length <= most, "few positions are named")
  return found
}
