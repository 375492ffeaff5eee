/** Rows of an index by another model: each picture is found, read as it was indexed, and encoded. */
import { l2Normalize } from "../../core/arrays/similarity.ts"
import type { EmbedEncoder } from "../../embed/open-encoder.ts"
import { defaultMaxPixels } from "../../host/image/images.ts"
import { encodeFiles } from "../../pictures/encode-files.ts"
import { pixelOptions } from "../../pictures/reading.ts"
import { openScanner, type Scanner } from "../scan/scanner.ts"
import type { Generation, IndexStore } from "../store/index-store.ts"
import { requireVectorsOf, vectorOffset } from "../store/vector-file.ts"
import { type Located, locate } from "./locate.ts"

/** Row p, and its unit vector or why it has none; without both, no file has it any more. */
export type EncodedRow = { readonly row: number } & (
  | { readonly vector: Float32Array }
  | { readonly reason: string }
  | { readonly gone: true }
)

/** A picture that is encoded again has at least this cosine to its vector: float16, other precisions and kernels change it less. */
export const sameCosine = 0.999

/** In the order of `rows`, each picture decoded once. Throws the signal's reason between batches. */
export async function* encodeRows(
  store: IndexStore,
  rows: Iterable<number>,
  encoder: EmbedEncoder,
  { settings }: Generation,
  { threads, signal }: { readonly threads?: number | undefined; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<EncodedRow> {
  // Rows whose pictures are on the way, and those without one between them, in their order.
  const waiting: (Located | { readonly row: number; readonly gone: true })[] = []
  async function* paths() {
    for (const row of rows) {
      const found = (await locate(store, row)) ?? { row, gone: true as const }
      waiting.push(found)
      if ("path" in found) yield found.path
    }
  }
  function* withoutPicture(): Generator<EncodedRow> {
    while (waiting.length > 0 && !("path" in waiting[0]!)) yield waiting.shift() as EncodedRow
  }
  const options = { decode: pixelOptions(settings, defaultMaxPixels), threads, signal }
  for await (const batch of encodeFiles(paths(), [encoder], options)) {
    for (const file of batch) {
      yield* withoutPicture()
      const { row } = waiting.shift()!
      if ("error" in file) yield { row, reason: file.error.message }
      else yield { row, vector: l2Normalize(file.vectors[0]!.slice(), encoder.embedDim) }
    }
  }
  yield* withoutPicture()
}

/** The rows of a generation, as they are on the disk. */
export async function withRows<T>(store: IndexStore, generation: Generation, work: (rows: Scanner) => Promise<T>) {
  requireVectorsOf(store.vectorsPath(generation), generation)
  const scanner = openScanner(store.vectorsPath(generation), { dim: generation.dim, offset: vectorOffset })
  try {
    return await work(scanner)
  } finally {
    scanner.close()
  }
}

/** Rows of contents that have a file, the lowest hashes first: a sample that depends on the contents alone. */
export function sampleRows(store: IndexStore, most: number): number[] {
  return store
    .rows("SELECT id FROM contents WHERE copies > 0 AND id <= ? ORDER BY hash LIMIT ?", store.count, most)
    .map(({ id }) => Number(id) - 1)
}
