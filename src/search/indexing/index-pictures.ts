/**
 * Folders of pictures into an index. Each new file is read once: where its bytes are known (a copy, a file that was renamed or
 * moved), it gets a row; else it is decoded and encoded. Batches are committed every few seconds: what is committed is found at
 * once, and an interruption loses what was not.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { asUserError, EnvironmentError, isInputError, UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import type { EmbedEncoder } from "../../embed/open-encoder.ts"
import { readBytes } from "../../host/files/files.ts"
import { captionBeside } from "../../host/image/caption-beside.ts"
import { defaultMaxPixels } from "../../host/image/images.ts"
import { type EncodedFile, encodeFiles } from "../../pictures/encode-files.ts"
import { pixelOptions } from "../../pictures/reading.ts"
import { addBackgroundPrompts, backgroundKey, updateBackgroundPictures } from "../calibrate/make-background.ts"
import { followIndex } from "../lance/index-table.ts"
import type { Generation, IndexSettings } from "../store/index-store.ts"
import {
  type ContentDetails,
  IndexWriter,
  type NewFailure,
  type NewFile,
  type NewPicture,
} from "../store/index-writer.ts"
import { extendCodes } from "../upkeep/codes.ts"
import { type ChangeOptions, type FolderChanges, folderChanges } from "./changes.ts"
import { contentDetails, contentHash } from "./content-details.ts"
import { IndexModel, type IndexModelOptions } from "./index-model.ts"
import { allRoots, type IndexedPart, partsOf, requireFolders } from "./roots.ts"

export interface IndexOptions extends IndexModelOptions, ChangeOptions {
  /** How pictures of a new index are read (default: turned as their cameras noted, exact). */
  readonly settings?: Partial<IndexSettings> | undefined
  readonly startProgress?: StartProgress | undefined
  /** Is told what a person may want to know: folders that are gone, pictures that are passed over. */
  readonly onNote?: ((line: string) => void) | undefined
  /** Is told of each picture that cannot be read. */
  readonly onFailure?: ((path: string, reason: string) => void) | undefined
}

export interface IndexSummary {
  /** Pictures that were encoded: bytes that the index did not have. */
  readonly encoded: number
  /** Files whose bytes it had: copies, and files that were renamed or moved. */
  readonly known: number
  readonly unchanged: number
  readonly removed: number
  readonly failed: number
  readonly seconds: number
  /** In the index now. */
  readonly pictures: number
  readonly files: number
}

/** Pictures of a transaction, and the seconds after which there is one all the same. */
const [batchSize, batchSeconds] = [256, 2] as const
/** Pictures from which on scores of an index that is being made are compared with something. */
const leastBackground = 256
/** Files that are read ahead of the towers. */
const readAhead = 16
const goOnHint = "what was encoded is kept; run again when the folder is there"

/**
 * @param folder of the index, which is made where there is none
 * @param folders of pictures; none: all that the index has
 * @throws UserError where the index is in use, damaged or of another model, a folder cannot be read, or there is nothing to index;
 *   EnvironmentError where the disk is full or a folder goes away; the signal's reason. What was committed stays.
 */
export async function indexPictures(
  folder: string,
  folders: readonly string[],
  options: IndexOptions = {},
): Promise<IndexSummary> {
  const began = performance.now()
  requireFolders(folder, folders)
  await using model = IndexModel.of(folder, options)
  const description = await model.description()
  using writer = await IndexWriter.open(folder, "mobileclip index", options.signal)
  const parts = folders.length > 0 ? partsOf(writer, folders) : allRoots(writer)
  if (parts.length === 0) throw new UserError(`the index in ${folder} has no folders yet`, "mobileclip index DIR")
  const generation = writer.active ?? writer.addGeneration(description)
  const work = new Indexing(writer, generation, () => model.encoder(), options)
  await work.run(parts)
  return { ...work.counts, ...sizeOf(writer), seconds: (performance.now() - began) / 1000 }
}

function sizeOf({ store }: IndexWriter) {
  const count = (sql: string) => Number(store.row(sql)!.count)
  return {
    pictures: count("SELECT count(*) AS count FROM contents WHERE copies > 0"),
    files: count("SELECT count(*) AS count FROM files"),
  }
}

/** A file that was read, and whose bytes the index does not have: a source for `encodeFiles`. */
interface NewContent {
  readonly name: string
  /** Emptied when it is encoded: files that wait for their batch to be committed would fill the memory. */
  bytes: Uint8Array
  readonly content: ContentDetails
  /** All files with these bytes so far. */
  readonly files: NewFile[]
}

class Indexing {
  readonly counts = { encoded: 0, known: 0, unchanged: 0, removed: 0, failed: 0 }
  /** Being encoded, by hash. */
  private readonly encoding = new Map<string, NewContent>()
  private pictures: NewPicture[] = []
  private failures: NewFailure[] = []
  private copies: { readonly file: NewFile; readonly content: number }[] = []
  private committed = performance.now()
  private hasBackground: boolean
  private done = 0

  constructor(
    private readonly writer: IndexWriter,
    private readonly generation: Generation,
    private readonly encoder: () => Promise<EmbedEncoder>,
    private readonly options: IndexOptions,
  ) {
    this.hasBackground = writer.store.meta(backgroundKey(generation)) !== null
  }

  async run(parts: readonly IndexedPart[]): Promise<void> {
    const { signal, onNote } = this.options
    const found: { readonly part: IndexedPart; readonly changes: FolderChanges }[] = []
    for (const part of parts) {
      const changes = await folderChanges(this.writer.store, part, this.options)
      for (const note of changes.notes) onNote?.(note)
      this.counts.unchanged += changes.unchanged
      found.push({ part, changes })
    }
    const total = found.reduce((sum, { changes }) => sum + changes.files.length, 0)
    const startProgress = total > 0 ? this.options.startProgress : undefined
    const progress = (startProgress ?? noProgress)("indexing", total, { unit: "pictures" })
    try {
      for (const { part, changes } of found) await this.add(part, changes, (done) => progress.update(done))
    } finally {
      await this.commit()
      progress.done()
    }
    signal?.throwIfAborted()
    for (const { part, changes } of found) this.removeGone(part, changes)
    this.removeMoved()
    await this.finish()
  }

  private async add(part: IndexedPart, changes: FolderChanges, onDone: (done: number) => void): Promise<void> {
    const contents = this.newContents(part, changes, onDone)
    const first = await contents.next()
    // Where all bytes are known, no model is opened.
    if (first.done) return
    const { threads, signal, onChoice } = this.options
    const decode = pixelOptions(this.generation.settings, defaultMaxPixels)
    const encoder = await this.encoder()
    await this.addPrompts(encoder)
    const options = { decode, threads, signal, onChoice, sharpness: true }
    for await (const batch of encodeFiles(startingWith(first.value, contents), [encoder], options)) {
      for (const encoded of batch) {
        this.take(part, encoded)
        onDone(++this.done)
      }
      if (this.isDue()) await this.commit()
    }
  }

  /** A model without a text tower has none: scores are compared with those of other pictures alone. */
  private async addPrompts(encoder: EmbedEncoder): Promise<void> {
    try {
      await addBackgroundPrompts(this.writer, this.generation, (texts) => encoder.encodeTexts(texts))
    } catch (error) {
      if (!isInputError(error)) throw error
      this.options.onNote?.(`scores are not compared with those of generic captions: ${error.message}`)
    }
  }

  /** The first file of each new content; other files are noted as they are read. */
  private async *newContents(
    part: IndexedPart,
    { files, others }: FolderChanges,
    onDone: (done: number) => void,
  ): AsyncGenerator<NewContent> {
    const read = (file: NewFile) => this.read(part, file, others)
    for await (const found of mapOrdered(toAsync(files), readAhead, read)) {
      const next = found && this.join(found)
      if (next) yield next
      else onDone(++this.done)
      if (this.isDue()) await this.commit()
    }
  }

  /** Null where it cannot be read. */
  private async read(part: IndexedPart, file: NewFile, others: ReadonlySet<string>) {
    const name = join(part.path, file.path)
    try {
      const bytes = await readBytes(name)
      const hash = contentHash(bytes)
      if (this.has(hash)) return { name, bytes, hash, file, content: null }
      const content = await contentDetails(bytes, name, hash)
      const beside = await captionBeside(name, (path) => others.has(path))
      const { caption, taken, latitude, longitude, keywords } = beside ?? {}
      const said = {
        caption: caption ?? content.caption,
        taken: content.taken ?? taken?.text ?? null,
        ...(content.latitude === null && { latitude: latitude ?? null, longitude: longitude ?? null }),
        keywords: [...new Set([...content.keywords, ...(keywords ?? [])])],
      }
      return { name, bytes, hash, file, content: { ...content, ...said } }
    } catch (error) {
      this.failFile(part, file, asUserError(error))
      return null
    }
  }

  private has(hash: Uint8Array): boolean {
    return this.writer.store.row("SELECT id FROM contents WHERE hash = ?", hash) !== undefined
  }

  /** Null where its bytes are in the index, or on their way. */
  private join(found: NonNullable<Awaited<ReturnType<Indexing["read"]>>>): NewContent | null {
    const { name, bytes, hash, file, content } = found
    const known = this.writer.store.row("SELECT id FROM contents WHERE hash = ?", hash)
    const key = Buffer.from(hash).toString("hex")
    const pending = this.encoding.get(key)
    if (known || pending) {
      this.counts.known++
      if (known) this.copies.push({ file, content: Number(known.id) })
      else pending!.files.push(file)
      return null
    }
    const next = { name, bytes, content: content!, files: [file] }
    this.encoding.set(key, next)
    return next
  }

  private take(part: IndexedPart, encoded: EncodedFile<NewContent>): void {
    const { source } = encoded
    source.bytes = new Uint8Array(0)
    const error = "error" in encoded ? encoded.error : notNumbers(source.name, encoded.vectors[0]!)
    if ("error" in encoded || error) {
      this.failContent(part, source, error!)
      return
    }
    const content = { ...source.content, sharpness: encoded.sharpness }
    const vector = l2Normalize(encoded.vectors[0]!.slice(), this.generation.dim)
    this.pictures.push({ content, files: source.files, vector })
    this.counts.encoded++
  }

  private failContent(part: IndexedPart, { content, files }: NewContent, error: UserError): void {
    this.encoding.delete(Buffer.from(content.hash).toString("hex"))
    for (const file of files) this.failFile(part, file, error)
  }

  /** Throws EnvironmentError where the folder went away: its files are not damaged. */
  private failFile(part: IndexedPart, file: NewFile, error: UserError): void {
    const path = join(part.path, file.path)
    if (!existsSync(path)) {
      const folder = join(part.path, part.below)
      if (!existsSync(folder)) throw new EnvironmentError(`${folder} went away while it was indexed`, goOnHint)
      // It was removed since the walk: the next run sees that it is gone.
      return
    }
    this.failures.push({ ...file, reason: error.message })
    this.counts.failed++
    this.options.onFailure?.(path, error.message)
  }

  private isDue(): boolean {
    const waiting = this.pictures.length + this.failures.length + this.copies.length
    return waiting >= batchSize || (waiting > 0 && performance.now() - this.committed > 1000 * batchSeconds)
  }

  private async commit(): Promise<void> {
    const { pictures, failures, copies, writer } = this
    this.pictures = []
    this.failures = []
    this.copies = []
    this.committed = performance.now()
    if (pictures.length + failures.length > 0) writer.addPictures(this.generation, pictures, failures)
    for (const { content } of pictures) this.encoding.delete(Buffer.from(content.hash).toString("hex"))
    if (copies.length > 0)
      writer.store.writing(() => {
        for (const { file, content } of copies) writer.putFile(file, content)
      })
    if (this.hasBackground || writer.store.count < leastBackground) return
    this.hasBackground = true
    await updateBackgroundPictures(writer, this.generation)
  }

  private removeGone({ root, below }: IndexedPart, { gone, goneFailures }: FolderChanges): void {
    const { store } = this.writer
    store.writing(() => {
      for (const id of gone) this.writer.removeFile(id)
      for (const path of goneFailures) store.run("DELETE FROM failures WHERE root = ? AND path = ?", root, path)
      if (below === "") store.run("UPDATE roots SET walked = ? WHERE id = ?", new Date().toISOString(), root)
    })
    this.counts.removed += gone.length
  }

  /** Files of roots that are gone, as far as their bytes are elsewhere now: the folder was moved. */
  private removeMoved(): void {
    const gone = allRoots(this.writer).filter(({ path }) => !existsSync(path))
    const { store } = this.writer
    const roots = gone.map(({ root }) => root).join(", ")
    if (gone.length === 0) return
    const moved = store.rows(
      `SELECT id FROM files WHERE root IN (${roots}) AND EXISTS (
         SELECT 1 FROM files AS others WHERE others.content = files.content AND others.root NOT IN (${roots}))`,
    )
    store.writing(() => {
      for (const { id } of moved) this.writer.removeFile(Number(id))
      store.run(
        `DELETE FROM roots WHERE id IN (${roots}) AND id NOT IN (SELECT root FROM files)
         AND id NOT IN (SELECT root FROM failures)`,
      )
    })
    this.counts.removed += moved.length
  }

  private async finish(): Promise<void> {
    const { writer, generation } = this
    const { signal, startProgress = noProgress } = this.options
    if (this.counts.encoded + this.counts.removed > 0) await updateBackgroundPictures(writer, generation)
    const { store } = generation.settings
    if (store !== "file")
      return void (await followIndex(store.lancedb, writer.store, generation, { signal, startProgress }))
    await extendCodes(writer.store, generation, { signal, startProgress })
  }
}

/** Null where they are: a row of NaN would never be found, and never be tried again. */
function notNumbers(name: string, vector: Float32Array): UserError | null {
  return vector.every(Number.isFinite) ? null : new UserError(`${name}: the model gives values that are not numbers`)
}

async function* startingWith<T>(first: T, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  yield first
  yield* rest
}

async function* toAsync<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}
