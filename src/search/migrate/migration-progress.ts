/**
 * How far a migration is, which stands in the index: rows below `next` are written, and those of them without a vector are known
 * with the reason, so that they are tried again.
 */
import { UserError } from "../../core/errors.ts"
import { commandLine } from "../../core/shell-quote.ts"
import type { Generation, IndexStore } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import type { EncodedRow } from "./encode-rows.ts"

export interface MissingPicture {
  /** Its row among the vectors. */
  readonly row: number
  /** Empty where no file had the picture any more. */
  readonly reason: string
}

export class MigrationProgress {
  private readonly prefix: string
  private readonly store: IndexStore

  constructor(
    private readonly writer: IndexWriter,
    { id }: Generation,
  ) {
    this.prefix = `migration ${id} `
    this.store = writer.store
  }

  get next(): number {
    return Number(this.store.meta(`${this.prefix}next`) ?? "0")
  }

  /** By their rows. */
  missing(): MissingPicture[] {
    const prefix = `${this.prefix}missing `
    return this.store
      .rows("SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", prefix.length, prefix)
      .map(({ key, value }) => ({ row: Number((key as string).slice(prefix.length)), reason: value as string }))
      .sort((a, b) => a.row - b.row)
  }

  /** Rows that follow each other, whose vectors are on the disk. */
  put(batch: readonly EncodedRow[]): void {
    this.store.writing(() => {
      for (const each of batch) {
        const key = `${this.prefix}missing ${each.row}`
        if ("vector" in each) this.store.run("DELETE FROM meta WHERE key = ?", key)
        else this.writer.setMeta(key, "reason" in each ? each.reason : "")
      }
      this.writer.setMeta(`${this.prefix}next`, String(Math.max(this.next, batch.at(-1)!.row + 1)))
    })
  }

  /** Within a transaction of the caller, or alone. */
  forget(): void {
    this.store.run("DELETE FROM meta WHERE substr(key, 1, ?) = ?", this.prefix.length, this.prefix)
  }
}

/** The migration that has rows; null: none. What else is being built was left by a run that was killed, and is discarded. */
export async function begunMigration(writer: IndexWriter): Promise<Generation | null> {
  let begun: Generation | null = null
  for (const generation of writer.store.generations().filter(({ state }) => state === "building")) {
    if (new MigrationProgress(writer, generation).next > 0) begun = generation
    else await writer.discard(generation)
  }
  return begun
}

/** Throws UserError where a migration has rows, which a switch to other vectors would lose. */
export async function requireNoneBegun(writer: IndexWriter): Promise<void> {
  const begun = await begunMigration(writer)
  if (begun === null) return
  const goOn = ["mobileclip", "index", "migrate", "--index", writer.store.folder, "--model", begun.source]
  throw new UserError(
    `a migration to ${begun.model} has begun, and would be lost`,
    `go on with it: ${commandLine(goOn)}`,
  )
}
