/**
 * Makes a LanceDB table fast: its parts are joined, positions get an index, and above some rows vectors get one too (IVF, of
 * whole vectors). What that loses is measured against a search of all rows, over vectors of the table, each without itself.
 */
import type { Hits } from "../scan/scan-request.ts"
import { LanceScanner } from "./lance-scanner.ts"
import { inTable } from "./lancedb.ts"
import { type TableGeneration, VectorTable } from "./vector-table.ts"

export interface OptimizeOptions {
  /** Rows from which on vectors get an index (default 250,000): below, a search of all rows takes a fraction of a second. */
  readonly indexFrom?: number
  /** Versions before and an index over vectors that are gone do not stay. */
  readonly erases?: boolean | undefined
}

export interface Optimized {
  readonly rows: number
  /** Whether vectors have an index. */
  readonly isIndexed: boolean
  /** Share of the ten nearest that a search by the index finds, over 50 vectors of the table. */
  readonly recall: number
}

export const indexFrom = 250_000

/** How so many vectors are indexed. */
export function indexSettings(rows: number) {
  return {
    distanceType: "dot" as const,
    // Half of what is usual: their centres take a time that grows with the square.
    numPartitions: Math.max(1, Math.round(Math.sqrt(rows) / 2)),
    // Vectors for each centre, and rounds at most.
    ...{ sampleRate: 64, maxIterations: 20 },
  }
}

const [queries, nearest] = [50, 10] as const

/**
 * @param folder of the index, for hints
 * @throws UserError where there is no such table, or LanceDB is not installed
 */
export async function optimizeTable(
  uri: string,
  folder: string,
  generation: TableGeneration,
  options: OptimizeOptions = {},
): Promise<Optimized> {
  using opened = await VectorTable.open(uri, folder, generation, true)
  const { table, lance } = opened
  const rows = await inTable(uri, () => table.countRows())
  const wants = rows >= (options.indexFrom ?? indexFrom)
  await inTable(uri, async () => {
    const named = (await table.listIndices()).flatMap(({ columns }) => columns)
    if (rows > 0 && !named.includes("position")) await table.createIndex("position", { config: lance.Index.btree() })
    const config = lance.Index.ivfFlat(indexSettings(rows))
    const isStale = options.erases && named.includes("vector")
    if ((wants && !named.includes("vector")) || isStale) await table.createIndex("vector", { config })
    await table.optimize(options.erases ? { cleanupOlderThan: new Date() } : {})
  })
  const isIndexed = (await inTable(uri, () => table.listIndices())).some(({ columns }) => columns.includes("vector"))
  return { rows, isIndexed, recall: isIndexed ? await recallOf(opened) : 1 }
}

async function recallOf(table: VectorTable): Promise<number> {
  const scanner = new LanceScanner(table)
  const positions = (await table.positions()).sort()
  const step = Math.max(1, Math.floor(positions.length / queries))
  const sample = Array.from(positions.filter((_, i) => i % step === 0).subarray(0, queries))
  const { vectors } = await table.read(sample)
  const request = { count: positions.at(-1)! + 1, k: nearest + 1 }
  let [found, wanted] = [0, 0]
  for (let i = 0; i < sample.length; i++) {
    const query = vectors.slice(i * table.dim, (i + 1) * table.dim)
    const others = ({ positions }: Hits) => positions.filter((position) => position !== sample[i]).slice(0, nearest)
    const all = others(await scanner.scan({ ...request, query, exact: true }))
    const some = new Set(others(await scanner.scan({ ...request, query })))
    wanted += all.length
    found += all.filter((position) => some.has(position)).length
  }
  return found / wanted
}
