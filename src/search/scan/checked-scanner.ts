/** A scanner of any kind that refuses, in the same words, what does not fit, and what it is asked after it was closed. */
import {
  type Hits,
  type Pairs,
  type PairsRequest,
  requirePairs,
  requirePositions,
  requireQuery,
  requireScan,
  type Scanner,
  type ScanRequest,
} from "./scan-request.ts"

export class CheckedScanner implements Scanner {
  readonly dim: number
  readonly kind: Scanner["kind"]
  private isClosed = false

  constructor(private readonly scanner: Scanner) {
    this.dim = scanner.dim
    this.kind = scanner.kind
  }

  async scan(request: ScanRequest): Promise<Hits> {
    requireQuery(request.query, this.dim)
    requireScan(request)
    return this.open().scan(request)
  }

  async scanMany(queries: readonly Float32Array[], request: Omit<ScanRequest, "query" | "after">): Promise<Hits[]> {
    for (const query of queries) requireQuery(query, this.dim)
    requireScan(request)
    return this.open().scanMany(queries, request)
  }

  usesCodes(count: number): boolean {
    return this.open().usesCodes(count)
  }

  async scores(query: Float32Array, positions: Uint32Array): Promise<Float32Array> {
    requireQuery(query, this.dim)
    requirePositions(positions)
    return this.open().scores(query, positions)
  }

  async read(positions: Uint32Array): Promise<Float32Array> {
    requirePositions(positions)
    return this.open().read(positions)
  }

  async nearPairs(request: PairsRequest): Promise<Pairs> {
    requirePairs(request)
    request.signal?.throwIfAborted()
    return this.open().nearPairs(request)
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.scanner.close()
  }

  private open(): Scanner {
    if (this.isClosed) throw new Error("the scanner is closed")
    return this.scanner
  }
}
