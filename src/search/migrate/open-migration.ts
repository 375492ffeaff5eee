/** An index, and the model that it is to have: opened to be compared, previewed or migrated. */
import { UserError } from "../../core/errors.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { type EmbedEncoder, openEncoder } from "../../embed/open-encoder.ts"
import { absoluteSource } from "../indexing/index-model.ts"
import { weightsOf } from "../query/query-model.ts"
import { type Generation, IndexStore, requireIndex } from "../store/index-store.ts"
import { IndexWriter, type NewGeneration } from "../store/index-writer.ts"

export interface MigrationOptions {
  /** Whatever `loadModel` takes. */
  readonly model: string
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly startProgress?: StartProgress | undefined
  /** Is told in lines what is done and why. */
  readonly onStage?: ((line: string) => void) | undefined
}

export interface OpenMigration {
  readonly store: IndexStore
  /** Null where the index is only read. */
  readonly writer: IndexWriter | null
  readonly active: Generation
  readonly encoder: EmbedEncoder
}

/**
 * Opens an index and the model for the time of `work`.
 *
 * @param command that changes the index, for the message that another process gets; null: it is only read
 * @throws UserError where the index has no vectors in a file, or is written by another process; where there is no such model
 */
export async function withMigration<T>(
  folder: string,
  command: string | null,
  options: MigrationOptions,
  work: (open: OpenMigration) => Promise<T>,
): Promise<T> {
  requireIndex(folder)
  using writer = command === null ? null : await IndexWriter.open(folder, command, options.signal)
  using reader = writer === null ? IndexStore.open(folder) : null
  const store = (writer?.store ?? reader)!
  const active = store.active()
  requireFileStore(active)
  await using encoder = await openModel(options)
  return await work({ store, writer, active, encoder })
}

function openModel({ model, threads, onStage }: MigrationOptions): Promise<EmbedEncoder> {
  const options = { ...(threads !== undefined && { threads }), ...(onStage && { onStage }) }
  return openEncoder(model, options, async () => null)
}

/** @param model what the user called it. Pictures are read as they were for the generation before. */
export function generationBy(encoder: EmbedEncoder, model: string, before: Generation): NewGeneration {
  const { mapped: _, ...settings } = before.settings
  const { name, identity, embedDim } = encoder
  return { model: name, source: absoluteSource(model), identity, dim: embedDim, settings }
}

export function isBy(generation: Generation, encoder: EmbedEncoder): boolean {
  return generation.dim === encoder.embedDim && weightsOf(generation.identity) === weightsOf(encoder.identity)
}

/** Throws UserError where vectors are kept elsewhere than in the index's own file. */
function requireFileStore({ settings }: Generation): void {
  if (settings.store === "file") return
  throw new UserError(
    "the index keeps its vectors in LanceDB, and only those of an index's own file are changed to another model",
    "index the pictures again into a new folder: mobileclip index DIR --model MODEL --index FOLDER --store lancedb",
  )
}

/** Those that have a file. */
export function countPictures(store: IndexStore): number {
  return Number(store.row("SELECT count(*) AS count FROM contents WHERE copies > 0")!.count)
}

export function startedProgress(options: MigrationOptions, label: string, total: number, from = 0) {
  return (options.startProgress ?? noProgress)(label, total, { unit: "picture", from })
}
