/** The model that an index is to have, and how its pictures are read for it. */
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { UserError } from "../../core/errors.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { type EmbedEncoder, openEncoder } from "../../embed/open-encoder.ts"
import { defaultMaxPixels } from "../../host/image/images.ts"
import { encodeFiles } from "../../pictures/encode-files.ts"
import { pixelOptions } from "../../pictures/reading.ts"
import { weightsOf } from "../query/query-model.ts"
import { openScanner, type Scanner } from "../scan/scanner.ts"
import type { Generation, IndexStore } from "../store/index-store.ts"
import type { NewGeneration } from "../store/index-writer.ts"
import { vectorOffset } from "../store/vector-file.ts"
import { type Located, locate } from "./locate.ts"

export interface MigrationOptions {
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly startProgress?: StartProgress | undefined
  /** Is told in lines what is done and why. */
  readonly onStage?: ((line: string) => void) | undefined
}

/** Row p, and its unit vector or why it has none; without both, no file has it any more. */
export type EncodedRow = { readonly row: number } & (
  | { readonly vector: Float32Array }
  | { readonly reason: string }
  | { readonly gone: true }
)

/** Throws UserError where there is no such model, or it cannot compute. */
export function openModel(model: string, { threads, onStage }: MigrationOptions): Promise<EmbedEncoder> {
  return openEncoder(
    model,
    { ...(threads !== undefined && { threads }), ...(onStage && { onStage }) },
    async () => null,
  )
}

/** Pictures are read as they were for the generation before. */
export function generationBy(encoder: EmbedEncoder, source: string, before: Generation): NewGeneration {
  const { mapped: _, ...settings } = before.settings
  return { model: encoder.name, source, identity: encoder.identity, dim: encoder.embedDim, settings }
}

export function isBy(generation: Generation, encoder: EmbedEncoder): boolean {
  return generation.dim === encoder.embedDim && weightsOf(generation.identity) === weightsOf(encoder.identity)
}

/** Throws UserError where vectors are kept elsewhere than in the index's own file. */
export function requireFileStore({ settings }: Generation): void {
  if (settings.store === "file") return
  throw new UserError(
    "the index keeps its vectors in LanceDB, and only those of an index's own file are changed to another model",
    "index the pictures again into a new folder: mobileclip index DIR --model MODEL --index FOLDER --store lancedb",
  )
}

/** In the order of `rows`, each picture decoded once. Throws the signal's reason between batches. */
export async function* encodeRows(
  store: IndexStore,
  rows: Iterable<number>,
  encoder: EmbedEncoder,
  { settings }: Generation,
  { threads, signal }: MigrationOptions,
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

export function startedProgress(options: MigrationOptions, label: string, total: number, from = 0) {
  return (options.startProgress ?? noProgress)(label, total, { unit: "picture", from })
}
