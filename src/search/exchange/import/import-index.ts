/**
 * Pictures of another program's index, into one of ours. The source is read twice: first whole, so that a damaged one changes
 * nothing, then batch by batch. A batch is in the index or not; what is there already is passed over, so the same call goes on
 * after an interruption. A picture whose vector is not the index's model's is encoded, where its file is here.
 */
import { dirname, resolve } from "node:path"
import { batchesOf } from "../../../core/arrays/batches.ts"
import { UserError } from "../../../core/errors.ts"
import { noProgress, ofLongWork, type StartProgress } from "../../../core/progress.ts"
import { followIndex } from "../../lance/index-table.ts"
import type { Generation } from "../../store/index-store.ts"
import { IndexWriter, type NewGeneration } from "../../store/index-writer.ts"
import { openSource, type SourceOptions } from "../sources/open-source.ts"
import type { ImportedPicture, ImportSource, SourceKind } from "../sources/source.ts"
import { decideVectors, type VectorDecision } from "./decide-vectors.ts"
import { type ImportCounts, noCounts, PictureImport } from "./import-pictures.ts"
import { ImportRoots } from "./import-roots.ts"
import { IndexModel, type IndexModelOptions } from "./index-model.ts"
import { mapPath, type PathPrefix } from "./path-map.ts"
import { survey } from "./survey.ts"

export interface ImportOptions extends SourceOptions, IndexModelOptions {
  /** Beginnings of paths in the source, and what they are here. */
  readonly map?: readonly PathPrefix[]
  /** The folder of the index that pictures are put below (default: the deepest that all are in). */
  readonly root?: string
  /** The index's model made the vectors: they are taken over where a sample that is encoded again agrees. */
  readonly sameModel?: boolean
  /** Compares a sample, says what would be done, and writes nothing. */
  readonly check?: boolean
  readonly signal?: AbortSignal
  readonly startProgress?: StartProgress
  /** Is told of each picture whose file cannot be read. */
  readonly onFailure?: (error: Error) => void
}

export interface ImportResult extends ImportCounts {
  readonly kind: SourceKind
  readonly model: string
  readonly vectors: VectorDecision
  /** In the source. */
  readonly pictures: number
}

/** Pictures that are compared with a source's vectors. */
const sampleSize = 16
/** Pictures of a transaction. */
const batchSize = 256

/**
 * @param folder of the index, which is made where there is none
 * @param from a file or folder of another program
 * @throws UserError where the source is damaged or of no known kind, the index is in use or of another model, or the pictures
 *   have no folder in common; the signal's reason between two batches
 */
export async function importIndex(folder: string, from: string, options: ImportOptions = {}): Promise<ImportResult> {
  await using source = await openSource(from, options)
  const base = dirname(resolve(from))
  const placeOf = ({ path }: ImportedPicture) => mapPath(path, options.map ?? [], base)
  const surveyed = await surveyOf(source, placeOf, options)
  await using model = IndexModel.of(folder, options)
  const index = await model.description()
  const choice = { sameModel: false, check: false, ...options }
  const vectors = await decideVectors(source, index, surveyed.sample, () => model.encoder(), choice)
  const result = { kind: source.kind, model: index.model, vectors, pictures: surveyed.pictures }
  if (options.check) return { ...result, ...noCounts }
  using writer = await IndexWriter.open(folder, "mobileclip index import", options.signal)
  const generation = generationOf(writer, index)
  const roots = new ImportRoots(writer, surveyed.folder, options.root)
  const how = { ...options, reusesVectors: vectors.reused, generation }
  await using work = new PictureImport(writer, () => model.encoder(), roots, how)
  const { startProgress = noProgress } = options
  const progress = startProgress("importing", surveyed.pictures, { unit: "pictures" })
  let done = 0
  for await (const batch of batchesOf(source.pictures(), batchSize)) {
    options.signal?.throwIfAborted()
    await work.add(batch.map((picture) => ({ picture, path: placeOf(picture) })))
    done += batch.length
    progress.update(done)
  }
  progress.done()
  const { store } = generation.settings
  if (store !== "file")
    await followIndex(store.lancedb, writer.store, generation, { signal: options.signal, startProgress })
  return { ...result, ...work.counts }
}

async function surveyOf(source: ImportSource, placeOf: (picture: ImportedPicture) => string, options: ImportOptions) {
  const { startProgress = noProgress, signal } = options
  const progress = ofLongWork(startProgress)("reading the source", source.total ?? 0, { unit: "pictures" })
  const surveyed = await survey(source, placeOf, sampleSize, { progress, signal })
  progress.update(surveyed.pictures)
  progress.done()
  return surveyed
}

/** Throws UserError where the index has become another model's since it was looked at. */
function generationOf(writer: IndexWriter, index: NewGeneration): Generation {
  const { active } = writer
  if (active === null) return writer.addGeneration(index)
  if (active.identity === index.identity) return active
  throw new UserError(`the index has just become one of ${active.model}`, "run the same command again")
}
