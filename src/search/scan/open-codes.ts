/** The codes that a scanner of the addon uses: opened when they are first wanted, and again when there are newer ones. */
import { closeSync, openSync } from "node:fs"
import type { MappedVectors } from "../../../scan/index.ts"
import { readWithoutBlocking } from "../../host/files/read-at.ts"
import { type CodesHeader, codesOffset, readWholeHeader, vectorsDigest } from "./codes-file.ts"
import type { RowLayout } from "./scan-request.ts"

/** From so many rows on codes are used: below, an exact scan takes some tens of milliseconds. */
export const codesFromRows = 2 ** 20

/** For so many hits the candidates in a header were measured; more hits need more of them. */
export const measuredHits = 20

/** Candidates beyond this share of the rows cost as much as a scan of all. */
const mostCandidates = { auto: 0.1, codes: 0.5 }

/** Rows of which codes are asked for and rows without codes: more than this share of them, and they are not used. */
const mostWithoutCodes = 0.5

export interface CodesChoice {
  readonly path?: string | undefined
  /** "auto": from `codesFromRows` rows on. */
  readonly use?: "auto" | "codes"
  /** In place of what the file of codes says. */
  readonly candidates?: number
}

export class OpenCodes {
  /** Rows with codes in the open file; 0: none is open. */
  private count = 0
  /** Candidates that are needed, as a share of the rows; 0: not measured yet. */
  private share = 0

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
    if (this.count < count || this.share === 0) this.refresh(path)
    const needed = this.choice.candidates ?? Math.ceil(this.share * count)
    const candidates = Math.ceil(needed * Math.max(1, k / measuredHits))
    const coded = Math.min(this.count, count)
    // Where every other row is scored anyway, a scan in order is faster.
    const isWorth = needed > 0 && coded > count * (1 - mostWithoutCodes) && candidates < coded * mostCandidates[use]
    return isWorth ? { count: coded, candidates } : null
  }

  /** Those that are open are not used any more. */
  drop(): void {
    this.count = 0
    this.share = 0
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
      const header = this.headerOf(descriptor)
      if (!header || header.count < this.count) return
      this.vectors.openCodes(descriptor, codesOffset(this.layout.dim))
      this.count = header.count
      this.share = header.measuredOf === 0 ? 0 : header.candidates / header.measuredOf
    } finally {
      closeSync(descriptor)
    }
  }

  /** Null where the codes are not of these vectors, or not whole. */
  private headerOf(descriptor: number): CodesHeader | null {
    try {
      const header = readWholeHeader(descriptor)
      return header?.dim === this.layout.dim && header.vectors.equals(this.digest()) ? header : null
    } catch {
      return null
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
