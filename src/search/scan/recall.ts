/** How many of the best rows a search by binary codes finds. */
import { Random } from "../../core/arrays/random.ts"
import type { Hits, Scanner } from "./scan-request.ts"

export interface RecallOptions {
  readonly count: number
  /** The default is 20. */
  readonly k?: number
  /** Vectors of queries; the default is rows drawn from the file, each without itself among its hits. */
  readonly queries?: readonly Float32Array[]
  /** Rows that are drawn; the default is 32. */
  readonly samples?: number
  readonly seed?: number
}

export interface Recall {
  /** The share of the best `k` that was found, over all queries. */
  readonly recall: number
  /** The recall of the query where it was least. */
  readonly least: number
  readonly queries: number
  readonly k: number
}

/** Null where the scanner uses no codes for so many rows, or no row has a vector. */
export async function measureRecall(scanner: Scanner, options: RecallOptions): Promise<Recall | null> {
  const { count, k = 20 } = options
  if (!scanner.usesCodes(count)) return null
  const queries = options.queries?.map((query) => ({ query, row: -1 })) ?? (await drawn(scanner, options))
  const shares: number[] = []
  for (const { query, row } of queries) {
    const request = { query, count, k: k + 1 }
    const exact = without(await scanner.scan({ ...request, exact: true }), row, k)
    const found = without(await scanner.scan(request), row, k)
    // Any of equal scores will do.
    const least = exact.at(-1)
    if (least !== undefined) shares.push(found.filter((score) => score >= least).length / exact.length)
  }
  if (shares.length === 0) return null
  const recall = shares.reduce((sum, share) => sum + share, 0) / shares.length
  return { recall, least: Math.min(...shares), queries: shares.length, k }
}

/** The best `k` scores beside that of a row itself. */
function without({ positions, scores }: Hits, row: number, k: number): number[] {
  return [...scores].filter((_, i) => positions[i] !== row).slice(0, k)
}

async function drawn(scanner: Scanner, { count, samples = 32, seed = 1 }: RecallOptions) {
  const random = Random.of(seed, "recall")
  const positions = Uint32Array.from({ length: count === 0 ? 0 : samples }, () => random.int(count))
  const rows = await scanner.read(positions)
  return [...positions].flatMap((row, i) => {
    const query = rows.slice(i * scanner.dim, (i + 1) * scanner.dim)
    return query.some(Number.isNaN) ? [] : [{ query, row }]
  })
}
