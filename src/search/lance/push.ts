/**
 * Fills a LanceDB table with an index's vectors: what the table lacks is added, and what has been forgotten is removed. Each step
 * is a transaction of the table, so a push that was stopped is gone on with by the next one.
 */
import { float16ToFloat32 } from "../../core/arrays/half.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { openRandomAccess } from "../../host/files/files.ts"
import type { IndexStore } from "../store/index-store.ts"
import { isNan, vectorOffset } from "../store/vector-file.ts"
import { type TableGeneration, VectorTable } from "./vector-table.ts"

export interface PushOptions {
  readonly signal?: AbortSignal | undefined
  readonly startProgress?: StartProgress
  /** What has been forgotten is also to be gone from the files of the table. */
  readonly erases?: boolean
}

export interface Pushed {
  readonly added: number
  readonly removed: number
}

/** Rows of a transaction; a table of many small ones is slow to search until it is optimised. */
const rowsAtOnce = 16_384

/** Throws UserError where LanceDB is not installed, or the table is another index's; the signal's reason between two steps. */
export async function pushTo(
  uri: string,
  store: IndexStore,
  generation: TableGeneration,
  { signal, startProgress = noProgress, erases = false }: PushOptions = {},
): Promise<Pushed> {
  using table = await VectorTable.open(uri, store.folder, generation)
  using file = openRandomAccess(store.vectorsPath(generation))
  const { count } = store
  const { isThere, gone } = rowsOf(await table.positions(), count)
  const progress = startProgress("filling the table", count, { unit: "vectors" })
  let added = 0
  for (let first = 0; first < count; first += rowsAtOnce) {
    signal?.throwIfAborted()
    const rows = Math.min(rowsAtOnce, count - first)
    const bytes = file.read(vectorOffset + first * generation.dim * 2, rows * generation.dim * 2)
    const found = changesIn(new Uint16Array(bytes.slice().buffer), first, isThere, generation.dim)
    gone.push(...found.gone)
    await table.add(found.missing)
    added += found.missing.positions.length
    progress.update(first + rows)
  }
  await (erases ? table.erase(gone) : table.remove(gone))
  progress.done()
  return { added, removed: gone.length }
}

/** Which of the index's rows a table has, and which it has that the index has not. */
function rowsOf(positions: Uint32Array, count: number) {
  const [isThere, gone]: [Uint8Array, number[]] = [new Uint8Array(count), []]
  for (const position of positions) {
    if (position < count) isThere[position] = 1
    else gone.push(position)
  }
  return { isThere, gone }
}

/** @param bits float16 [rows, dim] of the rows from `first` on */
function changesIn(bits: Uint16Array, first: number, isThere: Uint8Array, dim: number) {
  const [positions, gone]: [number[], number[]] = [[], []]
  for (let row = 0; row * dim < bits.length; row++) {
    const hasVector = !isNan(bits[row * dim]!)
    if (hasVector && isThere[first + row] === 0) positions.push(first + row)
    if (!hasVector && isThere[first + row] === 1) gone.push(first + row)
  }
  const missing = new Uint16Array(positions.length * dim)
  for (const [i, position] of positions.entries()) {
    const from = (position - first) * dim
    missing.set(bits.subarray(from, from + dim), i * dim)
  }
  return { gone, missing: { positions: Uint32Array.from(positions), vectors: float16ToFloat32(missing) } }
}
