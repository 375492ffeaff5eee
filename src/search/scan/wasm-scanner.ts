/** A scanner over WebAssembly: threads that each read and multiply a part of the file, a block at a time. */
import { forEachConcurrently } from "../../core/parallel.ts"
import { usableProcessors } from "../../host/processors.ts"
import { ThreadPool } from "../../host/thread-pool.ts"
import {
  type Hits,
  mostPairs,
  type Pairs,
  type PairsRequest,
  type RowLayout,
  type Scanner,
  type ScanRequest,
  tooManyPairs,
} from "./scan-request.ts"
import { mergeHits } from "./top-hits.ts"
import {
  pairRows,
  type RangeRequest,
  type RowAnswer,
  type RowWork,
  WasmRows,
  type WasmRowsSettings,
} from "./wasm-rows.ts"

/** So many bytes of rows are searched sooner in this thread than in others, which must be started. */
const hereBytes = 4 * 2 ** 20

/** Rows of a part begin in a byte of their own in a mask. */
const rowsOfByte = 8

export class WasmScanner implements Scanner {
  readonly kind = "wasm"
  private readonly rows: WasmRows
  private readonly processors = usableProcessors().count
  private pool: ThreadPool<RowWork, RowAnswer> | null = null

  constructor(
    private readonly path: string,
    private readonly layout: RowLayout,
  ) {
    this.rows = new WasmRows(path, layout)
  }

  get dim(): number {
    return this.layout.dim
  }

  async scan(request: ScanRequest): Promise<Hits> {
    const [hits] = await this.scanAll([request.query], request)
    return hits!
  }

  scanMany(queries: readonly Float32Array[], request: Omit<ScanRequest, "query" | "after">): Promise<Hits[]> {
    return this.scanAll(queries, request)
  }

  usesCodes(): boolean {
    return false
  }

  async scores(query: Float32Array, positions: Uint32Array): Promise<Float32Array> {
    return this.rows.scores(query, positions)
  }

  async read(positions: Uint32Array): Promise<Float32Array> {
    return this.rows.read(positions)
  }

  async nearPairs(request: PairsRequest): Promise<Pairs> {
    const { count, threshold, mask, threads = this.processors, signal, onProgress } = request
    this.rows.requireRows(count)
    const firsts = Array.from({ length: Math.ceil(count / pairRows) }, (_, i) => i * pairRows)
    // Rows that are read for each piece of work: its share of the time.
    const total = firsts.reduce((sum, first) => sum + count - first, 0)
    const parts = new Map<number, Pairs>()
    let [done, found] = [0, 0]
    await forEachConcurrently(firsts, threads, async (first) => {
      signal?.throwIfAborted()
      const rows = { first, count, threshold, ...(mask && { mask }) }
      const { pairs } = (await this.ask({ kind: "pairs", rows }, count <= pairRows)) as { pairs: Pairs }
      parts.set(first, pairs)
      found += pairs.a.length
      if (found > mostPairs) throw tooManyPairs(threshold)
      done += count - first
      onProgress?.(done, total)
    })
    return joined(firsts.map((first) => parts.get(first)!))
  }

  close(): void {
    this.rows[Symbol.dispose]()
    this.pool?.[Symbol.asyncDispose]().catch(() => {})
  }

  private async scanAll(queries: readonly Float32Array[], request: Omit<ScanRequest, "query">): Promise<Hits[]> {
    const { count, threads = this.processors } = request
    this.rows.requireRows(count)
    const isLittle = count * this.dim * 2 <= hereBytes
    const ranges = rangesOf(count, isLittle ? 1 : threads).map((range) => rangeOf(queries, request, range))
    const answers = await Promise.all(ranges.map((range) => this.ask({ kind: "scan", range }, isLittle)))
    const parts = answers.map((answer) => (answer as { hits: Hits[] }).hits)
    return queries.map((_, q) =>
      mergeHits(
        parts.map((hits) => hits[q]!),
        request.k,
      ),
    )
  }

  private async ask(work: RowWork, isLittle: boolean): Promise<RowAnswer> {
    if (isLittle) return this.rows.answer(work)
    const settings: WasmRowsSettings = { path: this.path, layout: this.layout }
    this.pool ??= new ThreadPool<RowWork, RowAnswer>({
      program: [import.meta.url, "wasm-worker"],
      name: "searches",
      threads: this.processors,
      settings,
    })
    return this.pool.ask(work)
  }
}

/** Parts of about the same size, [first, last). */
function rangesOf(count: number, parts: number): [first: number, last: number][] {
  const size = Math.ceil(count / parts / rowsOfByte) * rowsOfByte
  const ranges = Array.from({ length: parts }, (_, i): [number, number] => [i * size, Math.min(count, (i + 1) * size)])
  return ranges.filter(([first, last]) => first < last)
}

function rangeOf(
  queries: readonly Float32Array[],
  { k, after, mask, count }: Omit<ScanRequest, "query">,
  [first, last]: readonly [number, number],
): RangeRequest {
  return { queries, first, last, k: Math.min(k, count), ...(after && { after }), ...(mask && { mask }) }
}

function joined(parts: readonly Pairs[]): Pairs {
  const all = <T extends Uint32Array | Float32Array>(array: T, field: keyof Pairs): T => {
    let at = 0
    for (const part of parts) {
      array.set(part[field], at)
      at += part[field].length
    }
    return array
  }
  const length = parts.reduce((sum, { a }) => sum + a.length, 0)
  return {
    a: all(new Uint32Array(length), "a"),
    b: all(new Uint32Array(length), "b"),
    scores: all(new Float32Array(length), "scores"),
  }
}
