/**
 * An index to another model: every picture is encoded into a generation beside the one that answers, which is switched to when
 * all are there. A run that was killed goes on (`migration-progress.ts`).
 */
import { assert, UserError } from "../../core/errors.ts"
import { commandLine } from "../../core/shell-quote.ts"
import type { EmbedEncoder } from "../../embed/open-encoder.ts"
import { makeBackground } from "../calibrate/make-background.ts"
import type { Generation } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import { extendCodes } from "../upkeep/codes.ts"
import { type EncodedRow, encodeRows, withRows } from "./encode-rows.ts"
import { begunMigration, MigrationProgress, type MissingPicture } from "./migration-progress.ts"
import {
  countPictures,
  generationBy,
  isBy,
  type MigrationOptions,
  startedProgress,
  withMigration,
} from "./open-migration.ts"

export interface MigrateOptions extends MigrationOptions {
  /** Begins again, where vectors of another model, or of this one, are there already. */
  readonly restart?: boolean | undefined
  /** Switches however many pictures could not be encoded. */
  readonly allowMissing?: boolean | undefined
  /** The share of pictures that may be without a vector (default: 0.01). */
  readonly mostMissing?: number | undefined
}

export const migrateDefaults = { mostMissing: 0.01 } as const

export interface MigrateResult {
  readonly model: string
  /** Pictures that the index had, those that are missing now among them. */
  readonly pictures: number
  /** By this run, and by those before it. */
  readonly encoded: number
  readonly before: number
  /** Pictures that had a vector before, and could not be encoded: they left the index until `indexPictures` reads them again. */
  readonly missing: readonly MissingPicture[]
}

/** @throws UserError where the index is of the model already, another one is being built, or too many pictures are missing */
export function migrateIndex(folder: string, options: MigrateOptions): Promise<MigrateResult> {
  return withMigration(folder, "mobileclip index migrate", options, async ({ writer, active, encoder }) => {
    assert(writer !== null, "an index that is changed has a writer")
    if (isBy(active, encoder) && active.settings.mapped === undefined)
      throw new UserError(`the index in ${folder} is of ${encoder.name} already`, "there is nothing to do")
    const generation = await buildingGeneration(writer, encoder, active, options)
    const migration = new Migration(writer, generation, encoder, options)
    const { encoded, before } = await migration.encode()
    return { model: encoder.name, encoded, before, ...(await migration.finish(active)) }
  })
}

/** The one that is being built by the same model, or a new one. */
async function buildingGeneration(
  writer: IndexWriter,
  encoder: EmbedEncoder,
  active: Generation,
  { model, restart = false }: MigrateOptions,
): Promise<Generation> {
  const begun = await begunMigration(writer)
  if (begun && !restart && isBy(begun, encoder)) return begun
  if (begun && !restart) throw otherModel(writer, begun, model)
  if (begun) {
    await writer.discard(begun)
    new MigrationProgress(writer, begun).forget()
  }
  return writer.addGeneration(generationBy(encoder, model, active))
}

function otherModel({ store }: IndexWriter, building: Generation, model: string): UserError {
  const goOn = (name: string, ...more: string[]) =>
    commandLine(["mobileclip", "index", "migrate", "--index", store.folder, "--model", name, ...more])
  return new UserError(
    `a migration to ${building.model} (${building.source}) has begun, and ${model} is another model`,
    `go on with it: ${goOn(building.source)}, or give up what it has: ${goOn(model, "--restart")}`,
  )
}

/** Rows that are written at a time: what a killed run does again at most. */
const rowsAtOnce = 64

class Migration {
  private readonly progress: MigrationProgress

  constructor(
    private readonly writer: IndexWriter,
    private readonly generation: Generation,
    private readonly encoder: EmbedEncoder,
    private readonly options: MigrateOptions,
  ) {
    this.progress = new MigrationProgress(writer, generation)
  }

  async encode(): Promise<{ encoded: number; before: number }> {
    const { writer, generation, encoder, options, progress } = this
    const { count } = writer.store
    const first = progress.next
    const again = progress.missing().map(({ row }) => row)
    const before = first - again.length
    const shown = startedProgress(options, "encoding pictures", count, before)
    let [done, encoded] = [before, 0]
    const rows = encodeRows(writer.store, [...again, ...range(first, count)], encoder, generation, options)
    for await (const batch of inBatches(rows, () => shown.update(++done))) {
      this.save(batch)
      encoded += batch.filter((each) => "vector" in each).length
    }
    shown.done()
    return { encoded, before }
  }

  /** The background, and then the switch. */
  async finish(active: Generation): Promise<Pick<MigrateResult, "pictures" | "missing">> {
    const { writer, generation, options, progress } = this
    const pictures = countPictures(writer.store)
    const without = progress.missing()
    const gone = without.filter(({ reason }) => reason === "")
    const missing = await this.lost(without, active)
    this.requireFew(missing, pictures)
    options.onStage?.("making the background that scores are compared with")
    await makeBackground(writer, generation, (texts) => this.encoder.encodeTexts(texts))
    await extendCodes(writer.store, generation, options)
    options.signal?.throwIfAborted()
    await writer.activate(generation, () => {
      for (const { row } of [...missing, ...gone]) this.takeOut(row)
      progress.forget()
    })
    return { pictures, missing }
  }

  private save(batch: readonly EncodedRow[]): void {
    const { writer, generation, progress } = this
    const rows = new Float32Array(batch.length * generation.dim).fill(Number.NaN)
    for (const [i, each] of batch.entries()) if ("vector" in each) rows.set(each.vector, i * generation.dim)
    writer.setVectors(generation, batch[0]!.row, rows)
    progress.put(batch)
  }

  /** Those that the old generation finds. */
  private async lost(without: readonly MissingPicture[], active: Generation): Promise<MissingPicture[]> {
    const said = without.filter(({ reason }) => reason !== "")
    if (said.length === 0) return []
    const rows = Uint32Array.from(said, ({ row }) => row)
    const before = await withRows(this.writer.store, active, (stored) => stored.read(rows))
    return said.filter((_, i) => !Number.isNaN(before[i * active.dim]))
  }

  private requireFew(missing: readonly MissingPicture[], pictures: number): void {
    const { mostMissing = migrateDefaults.mostMissing, allowMissing = false, model } = this.options
    if (allowMissing || missing.length <= mostMissing * pictures) return
    const words = ["mobileclip", "index", "migrate", "--index", this.writer.store.folder, "--model", model]
    throw new UserError(
      `${missing.length} of ${pictures} pictures could not be encoded, for example ${missing[0]!.reason}; the index stays as it was`,
      `bring their files back and run it again, or go without them: ${commandLine([...words, "--allow-missing"])}`,
    )
  }

  /** A file that comes back with these bytes is to be new, and be encoded: of bytes that are known it would have no vector. */
  private takeOut(row: number): void {
    const { store } = this.writer
    for (const { id } of store.rows("SELECT id FROM files WHERE content = ?", row + 1))
      this.writer.removeFile(Number(id))
    store.run("UPDATE contents SET hash = randomblob(32) WHERE id = ?", row + 1)
  }
}

/** Rows that follow each other, as they come. */
async function* inBatches(rows: AsyncIterable<EncodedRow>, onRow: () => void): AsyncGenerator<EncodedRow[]> {
  let batch: EncodedRow[] = []
  for await (const row of rows) {
    if (batch.length === rowsAtOnce || (batch.length > 0 && batch.at(-1)!.row + 1 !== row.row)) {
      yield batch
      batch = []
    }
    batch.push(row)
    onRow()
  }
  if (batch.length > 0) yield batch
}

function* range(first: number, end: number): Generator<number> {
  for (let row = first; row < end; row++) yield row
}
