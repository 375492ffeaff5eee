/** The codes that a scanner of the addon uses: opened when they are first wanted, and again when there are newer ones. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import type { MappedVectors } from "../../../scan/index.ts"
import { readWithoutBlocking } from "../../host/files/read-at.ts"
import { codesBlock, codesBlockBytes, codesOffset, codesPage, parseHeader, vectorsDigest } from "./codes-file.ts"
import type { RowLayout } from "./scan-request.ts"

/** From so many rows on codes are used: below, an exact scan takes some tens of milliseconds. */
export const codesFromRows = 2 ** 20

/** Rows that are scored exactly: for each hit, at least, and of all rows (bench/search-scan.ts measures what they find). */
const candidatesPerHit = 10
const leastCandidates = 1000
const rowsPerCandidate = 1000

/** Rows of which codes are asked for and rows without codes: more than this share of them, and they are not used. */
const mostWithoutCodes = 0.5

export interface CodesChoice {
  readonly path?: string | undefined
  /** "auto": from `codesFromRows` rows on. */
  readonly use?: "auto" | "codes"
}

export class OpenCodes {
  /** Rows with codes in the open file; 0: none is open. */
  private count = 0

  constructor(
    private readonly choice: CodesChoice,
    private readonly vectorsPath: string,
    private readonly layout: RowLayout,
    private readonly vectors: MappedVectors,
  ) {}

  /** What to tell the addon for a scan of `count` rows; null: it is exact. */
  choose(count: number, k: number): { readonly count: number; readonly candidates: number } | null {
    const { path, use = "auto" } = this.choice
    if (path === undefined || (use === "auto" && count < codesFromRows)) return null
    if (this.count < count) this.refresh(path)
    const candidates = Math.max(leastCandidates, k * candidatesPerHit, Math.ceil(count / rowsPerCandidate))
    const coded = Math.min(this.count, count)
    // Where every other row is scored anyway, a scan in order is faster.
    const isWorth = coded > count * (1 - mostWithoutCodes) && candidates < coded / 2
    return isWorth ? { count: coded, candidates } : null
  }

  /** Codes are never needed: where they cannot be read, or are of other vectors, there are none. */
  private refresh(path: string): void {
    let descriptor: number
    try {
      descriptor = openSync(path, readWithoutBlocking)
    } catch {
      return
    }
    try {
      const count = this.rowsIn(descriptor)
      if (count <= this.count) return
      this.vectors.openCodes(descriptor, codesOffset(this.layout.dim))
      this.count = count
    } finally {
      closeSync(descriptor)
    }
  }

  private rowsIn(descriptor: number): number {
    const bytes = Buffer.alloc(codesPage)
    const { dim } = this.layout
    try {
      readSync(descriptor, bytes, 0, codesPage, 0)
      const header = parseHeader(bytes)
      if (header?.dim !== dim || !header.vectors.equals(this.digest())) return 0
      const expected = codesOffset(dim) + Math.ceil(header.count / codesBlock) * codesBlockBytes(dim)
      return fstatSync(descriptor).size >= expected ? header.count : 0
    } catch {
      return 0
    }
  }

  private digest(): Buffer {
    const descriptor = openSync(this.vectorsPath, readWithoutBlocking)
    try {
      return vectorsDigest(descriptor, this.vectorsPath, this.layout)
    } finally {
      closeSync(descriptor)
    }
  }
}
