/**
 * Pictures of another program's index, into one of ours. The source is read twice: first whole, so that a damaged one changes
 * nothing, then as files for the intake of `index`. What is there already is passed over, so the same call goes on after an
 * interruption. A picture whose vector is not the index's model's is encoded, where its file is here.
 */
import { dirname, resolve } from "node:path"
import { noProgress, ofLongWork } from "../../../core/progress.ts"
import { generationOf, IndexModel, type IndexModelOptions } from "../../indexing/index-model.ts"
import { type IntakeOptions, PictureIntake } from "../../indexing/picture-intake.ts"
import { rootPaths } from "../../indexing/roots.ts"
import type { IndexStore } from "../../store/index-store.ts"
import { IndexWriter, type NewGeneration } from "../../store/index-writer.ts"
import { openSource, type SourceOptions } from "../sources/open-source.ts"
import type { ImportedPicture, ImportSource, SourceKind } from "../sources/source.ts"
import { decideVectors, type VectorDecision } from "./decide-vectors.ts"
import { ImportedFiles } from "./imported-files.ts"
import { mapPath, type PathPrefix } from "./path-map.ts"
import { type Survey, survey } from "./survey.ts"

export interface ImportOptions extends SourceOptions, IndexModelOptions, Omit<IntakeOptions, "onChoice"> {
  /** Beginnings of paths in the source, and what they are here. */
  readonly map?: readonly PathPrefix[]
  /** The folder of the index that pictures are put below (default: the deepest that all are in). */
  readonly root?: string
  /** The index's model made the vectors: they are taken over where a sample that is encoded again agrees. */
  readonly sameModel?: boolean
  /** Compares a sample, says what would be done, and writes nothing. */
  readonly check?: boolean
}

export interface ImportResult {
  readonly kind: SourceKind
  readonly model: string
  readonly vectors: VectorDecision
  /** In the source. */
  readonly pictures: number
  /** Files that the index did not have. */
  readonly added: number
  /** In the index before, or named twice. */
  readonly known: number
  /** Pictures that were encoded here. */
  readonly encoded: number
  /** Added ones whose file is not here. */
  readonly missing: number
  /** With neither a vector that is taken over nor a file; or not below the root; or an address of the web. */
  readonly leftOut: number
  /** As in `IndexSummary`. */
  readonly failed: number
  readonly unread: number
}

const noCounts = { added: 0, known: 0, encoded: 0, missing: 0, leftOut: 0, failed: 0, unread: 0 }

/** Pictures that are compared with a source's vectors. */
const sampleSize = 16

/**
 * @param folder of the index, which is made where there is none
 * @param from a file or folder of another program
 * @throws UserError where the source is damaged or of no known kind, the index is in use or of another model, or the pictures
 *   have no folder in common; the signal's reason. What was committed stays.
 */
export async function importIndex(folder: string, from: string, options: ImportOptions = {}): Promise<ImportResult> {
  await using source = await openSource(from, options)
  const base = dirname(resolve(from))
  const placeOf = ({ path }: ImportedPicture) => mapPath(path, options.map ?? [], base)
  const surveyed = await surveyOf(source, placeOf, rootPaths(folder), options)
  await using model = IndexModel.of(folder, options)
  const index = await model.description()
  const choice = { sameModel: false, check: false, ...options }
  const vectors = await decideVectors(source, index, surveyed.sample, () => model.encoder(), choice)
  const result = { kind: source.kind, model: index.model, vectors, pictures: surveyed.pictures }
  if (options.check) return { ...result, ...noCounts }
  using writer = await IndexWriter.open(folder, "mobileclip index import", options.signal)
  const work = { writer, index, model, reusesVectors: vectors.reused, surveyed }
  return { ...result, ...(await addPictures(work, placed(source, placeOf), options)) }
}

async function surveyOf(
  source: ImportSource,
  placeOf: (picture: ImportedPicture) => string,
  roots: readonly string[],
  options: ImportOptions,
) {
  const { startProgress = noProgress, signal } = options
  const progress = ofLongWork(startProgress)("reading the source", source.total ?? 0, { unit: "pictures" })
  const surveyed = await survey(source, placeOf, { sampleSize, roots, progress, signal })
  progress.update(surveyed.pictures)
  progress.done()
  return surveyed
}

async function* placed(source: ImportSource, placeOf: (picture: ImportedPicture) => string) {
  for await (const picture of source.pictures()) yield { picture, path: placeOf(picture) }
}

interface ImportWork {
  readonly writer: IndexWriter
  readonly index: NewGeneration
  readonly model: IndexModel
  readonly reusesVectors: boolean
  readonly surveyed: Survey
}

async function addPictures(
  { writer, index, model, reusesVectors, surveyed }: ImportWork,
  pictures: ReturnType<typeof placed>,
  options: ImportOptions,
) {
  const { store } = writer
  const generation = generationOf(writer, index)
  const intake = new PictureIntake(writer, generation, store.withoutVector(generation), () => model.encoder(), options)
  const around = options.root === undefined ? surveyed.folder : resolve(options.root)
  const folder = surveyed.isOutside ? around : null
  const files = new ImportedFiles(store, { folder, reusesVectors, has: (hash) => intake.has(hash) })
  const before = filesIn(store)
  await intake.add(files.read(pictures), "importing", surveyed.pictures)
  await intake.finish()
  const { encoded, failed, unread } = intake.counts
  const added = filesIn(store) - before
  const known = surveyed.pictures - added - files.counts.leftOut - failed - unread
  return { added, known, encoded, ...files.counts, failed, unread }
}

function filesIn(store: IndexStore): number {
  return Number(store.row("SELECT count(*) AS count FROM files")!.count)
}
