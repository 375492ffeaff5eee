/**
 * Files into an index, whatever source they come from: the loop of `index` and of `import`. Where the index has a file's bytes, or
 * they are on their way, it gets a row; else its picture is encoded, or the vector that the source has is taken. Batches are
 * committed every few seconds: what is committed is found at once, and an interruption loses what was not.
 */
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { EnvironmentError, isInputError, UserError } from "../../core/errors.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import type { EmbedEncoder } from "../../embed/open-encoder.ts"
import { defaultMaxPixels } from "../../host/image/images.ts"
import { type EncodedFile, encodeFiles } from "../../pictures/encode-files.ts"
import { pixelOptions } from "../../pictures/reading.ts"
import { addBackgroundPrompts, backgroundKey, updateBackgroundPictures } from "../calibrate/make-background.ts"
import { followIndex } from "../lance/index-table.ts"
import type { Generation } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import type { ContentDetails, NewFile } from "../store/picture-rows.ts"
import { extendCodes, restoreCodes } from "../upkeep/codes.ts"
import { IntakeBatch } from "./intake-batch.ts"
import type { FailedFile, FoundFile, IntakeSource } from "./read-picture.ts"

export interface IntakeOptions {
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly startProgress?: StartProgress | undefined
  readonly onChoice?: ((line: string) => void) | undefined
  /** Is told what a person may want to know: folders that are gone, pictures that are passed over. */
  readonly onNote?: ((line: string) => void) | undefined
  /** Is told of each picture that cannot be read. */
  readonly onFailure?: ((path: string, reason: string) => void) | undefined
}

/** Pictures of a transaction, and the seconds after which there is one all the same. */
const [batchSize, batchSeconds] = [256, 2] as const
/** Pictures from which on scores of an index that is being made are compared with something. */
const leastBackground = 256

/** A content on its way: a source for `encodeFiles`. */
interface NewContent {
  readonly name: string
  /** Emptied when it is encoded: files that wait for their batch to be committed would fill the memory. */
  bytes: Uint8Array | null
  readonly isGiven: true
  readonly content: ContentDetails
  readonly lost: number | null
  /** All files with these bytes so far. */
  readonly files: NewFile[]
}

export class PictureIntake {
  /** `encoded` and `imported` are contents, the others files; see `IndexSummary`. */
  readonly counts = { encoded: 0, imported: 0, known: 0, described: 0, failed: 0, unread: 0 }
  /** What is not committed, by hash. */
  private readonly onTheWay = new Map<string, NewContent>()
  /** Ids of contents as they were looked for since the last commit: nobody else writes, and a look costs as much as a row. */
  private readonly looked = new Map<string, number | null>()
  private batch = new IntakeBatch()
  private committed = performance.now()
  private hasBackground: boolean
  private hasRegained = false

  /** @param lost ids of contents without a vector, which are encoded where a file of theirs is found */
  constructor(
    private readonly writer: IndexWriter,
    private readonly generation: Generation,
    private readonly lost: Set<number>,
    private readonly openEncoder: () => Promise<EmbedEncoder>,
    private readonly options: IntakeOptions,
  ) {
    this.hasBackground = writer.store.meta(backgroundKey(generation)) !== null
  }

  /** Whether the index has these bytes with their vector. */
  has(hash: Uint8Array): boolean {
    const id = this.idOf(hash)
    return id !== null && !this.lost.has(id)
  }

  /**
   * In their order. What is ready is committed also where this throws.
   *
   * @param label of the work, for its progress
   * @param total of the files
   * @throws what the source throws; the signal's reason; EnvironmentError where the disk is full
   */
  async add(source: IntakeSource, label: string, total: number): Promise<void> {
    const start = (total > 0 && this.options.startProgress) || noProgress
    const progress = start(label, total, { unit: "pictures" })
    let done = 0
    const count = () => progress.update(++done)
    try {
      const contents = this.newContents(source, count)
      const first = await contents.next()
      // Where nothing is to be encoded, no model is opened.
      if (!first.done) await this.encode(startingWith(first.value, contents), count)
    } finally {
      await this.commit()
      progress.done()
    }
    this.options.signal?.throwIfAborted()
  }

  /** After the last file: what is made of all pictures. */
  async finish(removed = 0): Promise<void> {
    const { writer, generation, counts } = this
    const { signal, startProgress = noProgress } = this.options
    const { store } = generation.settings
    if (counts.imported > 0) await this.addPrompts()
    if (counts.encoded + counts.imported + removed > 0) await updateBackgroundPictures(writer, generation)
    const update = this.hasRegained ? restoreCodes : extendCodes
    if (store === "file") await update(writer.store, generation, { signal, startProgress })
    else await followIndex(store.lancedb, writer.store, generation, { signal, startProgress })
  }

  private async encode(contents: AsyncGenerator<NewContent>, onDone: () => void): Promise<void> {
    const { threads, signal, onChoice } = this.options
    const encoder = await this.openEncoder()
    await this.addPrompts()
    const decode = pixelOptions(this.generation.settings, defaultMaxPixels)
    const options = { decode, threads, signal, onChoice, sharpness: true }
    for await (const batch of encodeFiles(contents, [encoder], options)) {
      for (const encoded of batch) {
        this.take(encoded)
        onDone()
      }
      if (this.isDue()) await this.commit()
    }
  }

  /** A model without a text tower has none: scores are compared with those of other pictures alone. */
  private async addPrompts(): Promise<void> {
    try {
      const encodeTexts = async (texts: string[]) => (await this.openEncoder()).encodeTexts(texts)
      await addBackgroundPrompts(this.writer, this.generation, encodeTexts)
    } catch (error) {
      if (!isInputError(error)) throw error
      this.options.onNote?.(`scores are not compared with those of generic captions: ${error.message}`)
    }
  }

  /** Those that are to be encoded; the others are noted as they come. */
  private async *newContents(source: IntakeSource, onDone: () => void): AsyncGenerator<NewContent> {
    for await (const found of source) {
      this.options.signal?.throwIfAborted()
      const next = found && ("error" in found ? this.fail(found) : this.join(found))
      if (next) yield next
      else onDone()
      if (this.isDue()) await this.commit()
    }
  }

  /** Null where its bytes are in the index, on their way, or have a vector. */
  private join(found: FoundFile): NewContent | null {
    const { name, file, hash, bytes, vector } = found
    const id = this.idOf(hash)
    const before = this.onTheWay.get(keyOf(hash))
    if (before) before.files.push(file)
    else if (id !== null && !this.lost.has(id)) this.note(found, id)
    else {
      const next: NewContent = { name, bytes, isGiven: true, content: found.content!, lost: id, files: [file] }
      this.onTheWay.set(keyOf(hash), next)
      if (vector === null) return next
      this.batch.contents.push({ ...next, vector })
      this.counts.imported++
    }
    return null
  }

  private idOf(hash: Uint8Array): number | null {
    const key = keyOf(hash)
    const before = this.looked.get(key)
    if (before !== undefined) return before
    const found = this.writer.store.row("SELECT id FROM contents WHERE hash = ?", hash)
    const id = found ? Number(found.id) : null
    this.looked.set(key, id)
    return id
  }

  private note({ file, content, isDescribedAgain = false }: FoundFile, id: number): void {
    if (isDescribedAgain) this.batch.described.push({ id, content: content! })
    else this.batch.copies.push({ file, content: id })
  }

  private take(encoded: EncodedFile<NewContent>): void {
    const { source } = encoded
    source.bytes = new Uint8Array(0)
    const error = "error" in encoded ? encoded.error : notNumbers(source.name, encoded.vectors[0]!)
    if ("error" in encoded || error) {
      this.onTheWay.delete(keyOf(source.content.hash))
      for (const file of source.files) this.fail({ name: source.name, file, error: error! })
      return
    }
    const content = { ...source.content, sharpness: encoded.sharpness }
    const vector = l2Normalize(encoded.vectors[0]!.slice(), this.generation.dim)
    this.batch.contents.push({ ...source, content, vector })
    this.counts.encoded++
  }

  /** What the machine could not read, or had no permission for, is not kept as the picture's failure: its row stays. */
  private fail({ name, file, error }: FailedFile): null {
    this.options.onFailure?.(name, error.message)
    if (error instanceof EnvironmentError) {
      if (this.counts.unread++ === 0) this.options.onNote?.(`${error.message}: the next run tries again`)
    } else {
      this.batch.failures.push({ ...file, reason: error.message })
      this.counts.failed++
    }
    return null
  }

  private isDue(): boolean {
    const { size } = this.batch
    return size >= batchSize || (size > 0 && performance.now() - this.committed > 1000 * batchSeconds)
  }

  private async commit(): Promise<void> {
    const { writer, generation, batch } = this
    this.batch = new IntakeBatch()
    this.committed = performance.now()
    if (batch.size > 0) this.write(batch)
    if (this.hasBackground || writer.store.count < leastBackground) return
    this.hasBackground = true
    await updateBackgroundPictures(writer, generation)
  }

  private write(batch: IntakeBatch): void {
    const { known, described } = batch.write(this.writer, this.generation)
    this.looked.clear()
    this.counts.known += known
    this.counts.described += described
    for (const { content, lost } of batch.contents) {
      this.onTheWay.delete(keyOf(content.hash))
      if (lost === null) continue
      this.lost.delete(lost)
      this.hasRegained = true
    }
  }
}

function keyOf(hash: Uint8Array): string {
  return Buffer.from(hash).toString("hex")
}

/** Null where they are: a row of NaN would never be found. */
function notNumbers(name: string, vector: Float32Array): UserError | null {
  return vector.every(Number.isFinite) ? null : new UserError(`${name}: the model gives values that are not numbers`)
}

async function* startingWith<T>(first: T, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  yield first
  yield* rest
}
