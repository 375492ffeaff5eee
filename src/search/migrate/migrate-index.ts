/**
 * An index to another model: every picture is encoded into a generation beside the one that answers, which is switched to when
 * all are there. How far it is stands in the index, raised after the vectors are on the disk, so a run that was killed goes on.
 */
import { assert, UserError } from "../../core/errors.ts"
import { commandLine } from "../../core/shell-quote.ts"
import type { EmbedEncoder } from "../../embed/open-encoder.ts"
import { makeBackground } from "../calibrate/make-background.ts"
import type { Generation } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import { extendCodes } from "../upkeep/codes.ts"
import {
  type EncodedRow,
  encodeRows,
  generationBy,
  isBy,
  type MigrationOptions,
  startedProgress,
  withMigration,
  withRows,
} from "./migration-model.ts"

export interface MigrateOptions extends MigrationOptions {
  /** Begins again, where vectors of another model, or of this one, are there already. */
  readonly restart?: boolean | undefined
  /** Switches however many pictures could not be encoded. */
  readonly allowMissing?: boolean | undefined
  /** The share of pictures that may be without a vector (default: 0.01). */
  readonly mostMissing?: number | undefined
}

export const migrateDefaults = { mostMissing: 0.01 } as const

export interface MissingPicture {
  /** Its row among the vectors. */
  readonly row: number
  readonly reason: string
}

export interface MigrateResult {
  readonly model: string
  /** Pictures that the index has. */
  readonly pictures: number
  /** By this run, and by those before it. */
  readonly encoded: number
  readonly before: number
  /** Pictures that had a vector before, and have none now. */
  readonly missing: readonly MissingPicture[]
}

/** @throws UserError where the index is of the model already, another one is being built, or too many pictures are missing */
export function migrateIndex(folder: string, options: MigrateOptions): Promise<MigrateResult> {
  return withMigration(folder, "mobileclip index migrate", options, async ({ writer, active, encoder }) => {
    assert(writer !== null, "an index that is changed has a writer")
    // What a run left that was killed right after the switch.
    forgetProgress(writer, active)
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
  for (const generation of writer.store.generations()) {
    if (generation.state === "active") continue
    const isMapped = generation.settings.mapped !== undefined
    if (!restart && !isMapped && isBy(generation, encoder)) return generation
    if (!restart && !isMapped) throw otherModel(writer, generation, model)
    await writer.discard(generation)
    forgetProgress(writer, generation)
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
  constructor(
    private readonly writer: IndexWriter,
    private readonly generation: Generation,
    private readonly encoder: EmbedEncoder,
    private readonly options: MigrateOptions,
  ) {}

  /** Rows below this one are written; those that could not be encoded have a reason in the index. */
  private get next(): number {
    return Number(this.writer.store.meta(nextKey(this.generation)) ?? "0")
  }

  async encode(): Promise<{ encoded: number; before: number }> {
    const { count } = this.writer.store
    const first = this.next
    const again = this.missing().map(({ row }) => row)
    const progress = startedProgress(this.options, "encoding pictures", count, first - again.length)
    let encoded = 0
    let batch: EncodedRow[] = []
    const save = () => {
      this.save(batch)
      encoded += batch.filter((each) => "vector" in each).length
      batch = []
    }
    const rows = [...again, ...range(first, count)]
    let done = first - again.length
    for await (const row of encodeRows(this.writer.store, rows, this.encoder, this.generation, this.options)) {
      // A batch is rows in a row.
      if (batch.length === rowsAtOnce || (batch.length > 0 && batch.at(-1)!.row + 1 !== row.row)) save()
      batch.push(row)
      progress.update(++done)
    }
    if (batch.length > 0) save()
    progress.done()
    return { encoded, before: first - again.length }
  }

  /** The background, and then the switch. */
  async finish(active: Generation): Promise<Pick<MigrateResult, "pictures" | "missing">> {
    const { writer, generation, options } = this
    const pictures = Number(writer.store.row("SELECT count(*) AS count FROM contents WHERE copies > 0")!.count)
    const missing = await this.lost(active)
    this.requireFew(missing, pictures)
    options.onStage?.("making the background that scores are compared with")
    await makeBackground(writer, generation, (texts) => this.encoder.encodeTexts(texts))
    await extendCodes(writer.store, generation, options)
    options.signal?.throwIfAborted()
    await writer.activate(generation)
    forgetProgress(writer, generation)
    return { pictures, missing }
  }

  private save(batch: readonly EncodedRow[]): void {
    const { writer, generation } = this
    const rows = new Float32Array(batch.length * generation.dim).fill(Number.NaN)
    for (const [i, each] of batch.entries()) if ("vector" in each) rows.set(each.vector, i * generation.dim)
    writer.setVectors(generation, batch[0]!.row, rows)
    writer.store.writing(() => {
      for (const each of batch) {
        if ("reason" in each) writer.setMeta(missingKey(generation, each.row), each.reason)
        else writer.store.run("DELETE FROM meta WHERE key = ?", missingKey(generation, each.row))
      }
      writer.setMeta(nextKey(generation), String(Math.max(this.next, batch.at(-1)!.row + 1)))
    })
  }

  /** By their rows. */
  private missing(): MissingPicture[] {
    const prefix = missingKey(this.generation, "")
    return this.writer.store
      .rows("SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", prefix.length, prefix)
      .map(({ key, value }) => ({ row: Number((key as string).slice(prefix.length)), reason: value as string }))
      .sort((a, b) => a.row - b.row)
  }

  /** Those of them that the old generation finds. */
  private async lost(active: Generation): Promise<MissingPicture[]> {
    const missing = this.missing()
    if (missing.length === 0) return []
    const before = await withRows(this.writer.store, active, (rows) =>
      rows.read(Uint32Array.from(missing, ({ row }) => row)),
    )
    return missing.filter((_, i) => !Number.isNaN(before[i * active.dim]))
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
}

const nextKey = ({ id }: Generation) => `migration ${id} next`
const missingKey = ({ id }: Generation, row: number | "") => `migration ${id} missing ${row}`

function forgetProgress(writer: IndexWriter, { id }: Generation): void {
  const prefix = `migration ${id} `
  writer.store.run("DELETE FROM meta WHERE substr(key, 1, ?) = ?", prefix.length, prefix)
}

function* range(first: number, end: number): Generator<number> {
  for (let row = first; row < end; row++) yield row
}
