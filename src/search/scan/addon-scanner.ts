/** A scanner over the addon, whose failures are put in words. */
import { closeSync, fstatSync } from "node:fs"
import {
  type AddonHits,
  type MappedVectors,
  pairBlocks,
  type ScanAddon,
  type ScanFailure,
} from "../../../scan/index.ts"
import { EnvironmentError } from "../../core/errors.ts"
import { openToRead } from "../../host/files/read-at.ts"
import { usableProcessors } from "../../host/processors.ts"
import { type CodesChoice, OpenCodes } from "./open-codes.ts"
import {
  type Hits,
  type Pairs,
  type PairsRequest,
  type RowLayout,
  type Scanner,
  type ScanRequest,
  shortFile,
  tooManyPairs,
  verifyCommand,
} from "./scan-request.ts"

/** How often progress is told and a signal is looked at. */
const progressMilliseconds = 100

export class AddonScanner implements Scanner {
  readonly kind = "addon"
  private readonly vectors: MappedVectors
  private readonly codes: OpenCodes
  private readonly processors = usableProcessors().count

  /** @param kernel of the processor's instructions; the default is the fastest one */
  constructor(
    addon: ScanAddon,
    private readonly path: string,
    private readonly layout: RowLayout,
    codes: CodesChoice = {},
    kernel = "",
  ) {
    const descriptor = openToRead(path)
    try {
      this.vectors = new addon.VectorFile(descriptor, layout.dim, layout.offset, kernel)
    } finally {
      closeSync(descriptor)
    }
    this.codes = new OpenCodes(codes, path, layout, this.vectors)
  }

  get dim(): number {
    return this.layout.dim
  }

  async scan(request: ScanRequest): Promise<Hits> {
    const { query, after, exact = false } = request
    // Places in the order are exact: a row that estimates have passed over must still be found on a later page.
    const codes = exact || after ? null : this.codes.choose(request.count, request.k)
    const asked = this.asked(request)
    const hits = codes && (await this.vectors.scanCodes(query, asked, codes).catch((error) => this.withoutCodes(error)))
    if (hits) return hits
    const [all] = await this.answered(this.vectors.scan(query, after ? { ...asked, after } : asked), request.count)
    return all!
  }

  async scanMany(queries: readonly Float32Array[], request: Omit<ScanRequest, "query" | "after">): Promise<Hits[]> {
    const hits: AddonHits[] = []
    for (let first = 0; first < queries.length; first += mostAtOnce) {
      const some = queries.slice(first, first + mostAtOnce)
      const together = new Float32Array(some.length * this.dim)
      some.forEach((query, i) => {
        together.set(query, i * this.dim)
      })
      hits.push(...(await this.answered(this.vectors.scan(together, this.asked(request)), request.count)))
    }
    return hits
  }

  usesCodes(count: number): boolean {
    return this.codes.choose(count, 1) !== null
  }

  async scores(query: Float32Array, positions: Uint32Array): Promise<Float32Array> {
    return this.answered(this.vectors.scores(query, positions), rowsUpTo(positions))
  }

  async read(positions: Uint32Array): Promise<Float32Array> {
    return this.answered(this.vectors.read(positions), rowsUpTo(positions))
  }

  async nearPairs(request: PairsRequest): Promise<Pairs> {
    const { count, threshold, mask, signal, onProgress } = request
    const state = new Int32Array(new SharedArrayBuffer(8))
    const total = pairBlocks(count)
    const timer = setInterval(() => onProgress?.(Atomics.load(state, 1), total), progressMilliseconds)
    const stop = () => Atomics.store(state, 0, 1)
    signal?.addEventListener("abort", stop)
    try {
      const asked = { count, threshold, threads: request.threads ?? this.processors, ...(mask && { mask }) }
      const pairs = await this.answered(this.vectors.nearPairs(asked, state), count, threshold)
      onProgress?.(total, total)
      return pairs
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    } finally {
      clearInterval(timer)
      signal?.removeEventListener("abort", stop)
    }
  }

  close(): void {
    this.vectors.close()
  }

  /** Whichever of the two files cannot be read: the exact scan says it of the vectors, and needs no codes. */
  private withoutCodes(error: unknown): null {
    const { code } = error as { code?: ScanFailure }
    if (code !== "shortFile" && code !== "readFault") throw this.inWords(error, 0, 0)
    this.codes.drop()
    return null
  }

  private asked({ count, k, threads = this.processors, mask }: Omit<ScanRequest, "query">) {
    return { count, k: Math.min(k, count), threads, ...(mask && { mask }) }
  }

  /** @param rows that the addon reads, for messages */
  private async answered<T>(answer: Promise<T>, rows: number, threshold = 0): Promise<T> {
    try {
      return await answer
    } catch (error) {
      throw this.inWords(error, rows, threshold)
    }
  }

  private inWords(error: unknown, rows: number, threshold: number): unknown {
    const { path } = this
    switch ((error as { code?: ScanFailure }).code) {
      case "shortFile":
        return shortFile(path, sizeOf(path), this.layout.offset + rows * this.dim * 2)
      case "readFault":
        return new EnvironmentError(
          `${path} could not be read: it was cut while it was searched, or its drive is gone`,
          `see that the drive is there, and check the index: ${verifyCommand(path)}`,
          { cause: error },
        )
      case "cannotMap":
        return new EnvironmentError(
          `${path} cannot be mapped: there is not enough address space`,
          "allow more (`ulimit -v unlimited`)",
          { cause: error },
        )
      case "noMemory":
        return new EnvironmentError(
          `there is not enough memory, or no thread, to search ${path}`,
          "ask for fewer hits, or close other programs",
          { cause: error },
        )
      case "tooManyPairs":
        return tooManyPairs(threshold)
      default:
        return error
    }
  }
}

/** Queries of one pass: what they keep of hits stays small. */
const mostAtOnce = 64

function sizeOf(path: string): number {
  const descriptor = openToRead(path)
  try {
    return fstatSync(descriptor).size
  } finally {
    closeSync(descriptor)
  }
}

function rowsUpTo(positions: Uint32Array): number {
  return positions.reduce((rows, position) => Math.max(rows, position + 1), 0)
}
