/**
 * Exact search of a mapped file of float16 vectors, in threads of the addon's own. Where the addon is not built there is
 * none, and `src/search/scan` uses WebAssembly.
 */
import { createRequire } from "node:module"
import { builtAddon } from "../src/native/addon.ts"
import { scanAddon } from "./paths.ts"

export interface ScanAddon {
  /** Kernels that this processor runs, the fastest first. */
  kernels(): string[]
  /**
   * Rows [N, dim] of float16 from byte `offset` on. The descriptor is copied: its file can be closed. A kernel of "" is the
   * fastest one. Throws TypeError where a number is out of its range, as all methods do.
   */
  readonly VectorFile: new (
    descriptor: number,
    dim: number,
    offset: number,
    kernel: string,
  ) => MappedVectors
}

/** Promises are rejected with an Error whose `code` is a `ScanFailure`. */
export interface MappedVectors {
  /** @param queries [n, dim] */
  scan(queries: Float32Array, request: AddonRequest): Promise<AddonHits[]>
  /** The same numbers as in a scan. */
  scores(query: Float32Array, positions: Uint32Array): Promise<Float32Array>
  /** [positions, dim] */
  read(positions: Uint32Array): Promise<Float32Array>
  /**
   * All pairs a < b, by a and then by b.
   *
   * @param state shared with the threads: a first number that is not 0 ends them ("cancelled"), the second one counts the
   *   blocks that are done, of `pairBlocks(count)`
   */
  nearPairs(
    request: Omit<AddonRequest, "k" | "after"> & { readonly threshold: number },
    state: Int32Array,
  ): Promise<AddonPairs>
  /** Takes the codes of a file (src/search/scan/codes-file.ts) in place of those before. `mean`: [dim] */
  openCodes(descriptor: number, offset: number, mean: Float32Array): void
  /** The best by the codes of rows [0, codes.count), scored exactly, and all rows after those; without `after`. */
  scanCodes(
    query: Float32Array,
    request: Omit<AddonRequest, "after">,
    codes: { readonly count: number; readonly candidates: number },
  ): Promise<AddonHits>
  close(): void
}

export interface AddonRequest {
  readonly count: number
  readonly k: number
  readonly threads: number
  readonly after?: { readonly score: number; readonly position: number }
  readonly mask?: Uint8Array
}

export interface AddonHits {
  readonly positions: Uint32Array
  readonly scores: Float32Array
}

export interface AddonPairs {
  readonly a: Uint32Array
  readonly b: Uint32Array
  readonly scores: Float32Array
}

export type ScanFailure = "shortFile" | "readFault" | "cannotMap" | "noMemory" | "tooManyPairs" | "cancelled"

/** Blocks of rows that are compared with each other, as `nearPairs` counts them. */
export function pairBlocks(count: number): number {
  const blocks = Math.ceil(count / 192)
  return (blocks * (blocks + 1)) / 2
}

/** Null where it is not built. */
export const scanAddonOrNull: ScanAddon | null = load()

function load(): ScanAddon | null {
  try {
    const built = builtAddon(scanAddon)
    const addon: Partial<ScanAddon> | null = built && createRequire(import.meta.url)(built.file)
    return addon?.VectorFile && addon.kernels ? (addon as ScanAddon) : null
  } catch {
    return null
  }
}
