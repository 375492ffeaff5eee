/** Pictures of a source, batch by batch, into an index: each is there with its vector and its file, or not at all. */
import { l2Normalize } from "../../../core/arrays/similarity.ts"
import { asUserError, type UserError } from "../../../core/errors.ts"
import { forEachConcurrently } from "../../../core/parallel.ts"
import { defaultMaxPixels } from "../../../host/image/images.ts"
import { encodeFiles, type PixelEncoder } from "../../../pictures/encode-files.ts"
import { KeptTowers } from "../../../pictures/kept-towers.ts"
import { pixelOptions } from "../../../pictures/reading.ts"
import type { Generation } from "../../store/index-store.ts"
import type { IndexWriter, NewFailure, NewFile, NewPicture } from "../../store/index-writer.ts"
import type { ImportedPicture } from "../sources/source.ts"
import type { ImportRoots } from "./import-roots.ts"
import { type ImportedContent, importedContent } from "./imported-content.ts"
import { hasDirection } from "./survey.ts"

export interface ImportCounts {
  readonly added: number
  /** In the index before. */
  readonly known: number
  /** Added ones that were encoded here. */
  readonly encoded: number
  /** Added ones whose file is not here. */
  readonly missing: number
  /** With neither a vector that is taken over nor a file; or not below the root; or an address of the web. */
  readonly leftOut: number
  readonly failed: number
}

export const noCounts: ImportCounts = { added: 0, known: 0, encoded: 0, missing: 0, leftOut: 0, failed: 0 }

export interface PictureImportOptions {
  /** That vectors belong to. */
  readonly generation: Generation
  /** The source's vectors are the index's model's. */
  readonly reusesVectors: boolean
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onChoice?: ((line: string) => void) | undefined
  readonly onFailure?: (error: Error) => void
}

export interface PlacedPicture {
  readonly picture: ImportedPicture
  /** As it is here. */
  readonly path: string
}

interface NewOne extends PlacedPicture {
  readonly place: Pick<NewFile, "root" | "path">
}

interface Ready extends NewOne, ImportedContent {}

/** Files that are read at a time. */
const readAtOnce = 8

const webAddress = /^[a-z][a-z0-9+.-]+:\/\//i

export class PictureImport implements AsyncDisposable {
  readonly counts: { -readonly [Name in keyof ImportCounts]: number } = { ...noCounts }
  /** Threads and towers, which the next batch uses again. */
  private readonly kept = new KeptTowers()

  constructor(
    private readonly writer: IndexWriter,
    private readonly openEncoder: () => Promise<PixelEncoder>,
    private readonly roots: ImportRoots,
    private readonly options: PictureImportOptions,
  ) {}

  async add(batch: readonly PlacedPicture[]): Promise<void> {
    const failures: NewFailure[] = []
    const ready = await this.read(this.newOnes(batch), failures)
    const vectors = await this.vectorsOf(ready, failures)
    const known = this.joinKnown(ready)
    const pictures = picturesOf(
      ready.filter((one) => !known.has(one)),
      vectors,
    )
    this.writer.addPictures(this.options.generation, pictures, failures)
    this.count(ready, vectors, known, failures)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kept[Symbol.asyncDispose]()
  }

  /** Those that the index does not have, and that are in one of its folders. */
  private newOnes(batch: readonly PlacedPicture[]): NewOne[] {
    const seen = new Set<string>()
    return batch.flatMap((placed) => {
      const place = webAddress.test(placed.picture.path) ? null : this.roots.placeOf(placed.path)
      if (place === null) this.counts.leftOut++
      else if (seen.has(placed.path) || this.has(place)) this.counts.known++
      else {
        seen.add(placed.path)
        return [{ ...placed, place }]
      }
      return []
    })
  }

  private has({ root, path }: NewOne["place"]): boolean {
    return this.writer.store.row("SELECT id FROM files WHERE root = ? AND path = ?", root, path) !== undefined
  }

  /** In their order. Files that are here and are not pictures become failures; without a file and a vector, nothing is left. */
  private async read(ones: readonly NewOne[], failures: NewFailure[]): Promise<Ready[]> {
    const ready: (Ready | null)[] = ones.map(() => null)
    await forEachConcurrently(ones, readAtOnce, async (one, i) => {
      try {
        const content = await importedContent(one.path, one.picture)
        if (content.isHere || this.isReused(one)) ready[i] = { ...one, ...content }
        else this.counts.leftOut++
      } catch (error) {
        this.fail(failures, { ...one.place, size: 0, mtime: 0 }, asUserError(error))
      }
    })
    return ready.filter((one) => one !== null)
  }

  private fail(failures: NewFailure[], file: NewFile, error: UserError): void {
    this.options.onFailure?.(error)
    failures.push({ ...file, reason: error.message })
  }

  private isReused({ picture }: PlacedPicture): boolean {
    return this.options.reusesVectors && hasDirection(picture.vector)
  }

  /** Vectors [dim] of unit length, by path; what cannot be encoded has none, and becomes a failure. */
  private async vectorsOf(ready: readonly Ready[], failures: NewFailure[]): Promise<Map<string, Float32Array>> {
    const vectors = new Map<string, Float32Array>()
    for (const { path, picture } of ready.filter((one) => this.isReused(one)))
      vectors.set(path, l2Normalize(picture.vector!.slice(), picture.vector!.length))
    const others = new Map(ready.filter(({ path }) => !vectors.has(path)).map((one) => [one.path, one]))
    if (others.size === 0) return vectors
    for await (const file of this.encode([...others.keys()])) {
      const { place, size, mtime } = others.get(file.source)!
      if ("error" in file) this.fail(failures, { ...place, size, mtime }, file.error)
      else vectors.set(file.source, l2Normalize(file.vectors[0]!.slice(), file.vectors[0]!.length))
    }
    return vectors
  }

  private async *encode(paths: readonly string[]) {
    const { settings } = this.options.generation
    const decode = pixelOptions(settings, defaultMaxPixels)
    const { threads, signal, onChoice } = this.options
    const options = { kept: this.kept, decode, threads, signal, onChoice }
    for await (const batch of encodeFiles(paths, [await this.openEncoder()], options)) yield* batch
  }

  /** Files whose bytes the index has already. */
  private joinKnown(ready: readonly Ready[]): Set<Ready> {
    const { store } = this.writer
    const known = new Set<Ready>()
    store.writing(() => {
      for (const one of ready) {
        const content = store.row("SELECT id FROM contents WHERE hash = ?", one.content.hash)
        if (content === undefined) continue
        this.writer.putFile(fileOf(one), Number(content.id))
        known.add(one)
      }
    })
    return known
  }

  private count(
    ready: readonly Ready[],
    vectors: ReadonlyMap<string, unknown>,
    known: ReadonlySet<Ready>,
    failures: readonly unknown[],
  ) {
    const added = ready.filter((one) => known.has(one) || vectors.has(one.path))
    this.counts.added += added.length
    this.counts.encoded += added.filter((one) => !known.has(one) && !this.isReused(one)).length
    this.counts.missing += added.filter(({ isHere }) => !isHere).length
    this.counts.failed += failures.length
  }
}

function fileOf({ place, size, mtime }: Ready): NewFile {
  return { ...place, size, mtime }
}

/** One for different bytes, with all of its files. */
function picturesOf(ready: readonly Ready[], vectors: ReadonlyMap<string, Float32Array>): NewPicture[] {
  const byHash = new Map<string, NewPicture & { readonly files: NewFile[] }>()
  for (const one of ready) {
    const vector = vectors.get(one.path)
    if (vector === undefined) continue
    const hash = Buffer.from(one.content.hash).toString("hex")
    const found = byHash.get(hash)
    if (found) found.files.push(fileOf(one))
    else byHash.set(hash, { content: one.content, vector, files: [fileOf(one)] })
  }
  return [...byHash.values()]
}
