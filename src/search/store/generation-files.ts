/** The files of generations, as the one writer of an index has them open: vectors, and codes that are made of these. */
import { readdir, rm } from "node:fs/promises"
import { assert, UserError } from "../../core/errors.ts"
import { repairHint } from "./index-command.ts"
import type { Generation, IndexStore } from "./index-store.ts"
import { requireVectorsOf, rowsInFile, type VectorHeader, VectorWriter } from "./vector-file.ts"

export class GenerationFiles implements Disposable {
  private readonly open = new Map<number, VectorWriter>()

  constructor(private readonly store: IndexStore) {}

  /** Opened once. Throws UserError where the active one's is missing, cut, or another index's: appending would leave a hole of zeros. */
  vectorsOf(generation: Generation): VectorWriter {
    const open = this.open.get(generation.id)
    if (open) return open
    if (generation.state === "active") this.requireComplete(generation)
    const writer = new VectorWriter(this.store.vectorsPath(generation), headerOf(generation))
    this.open.set(generation.id, writer)
    return writer
  }

  /** The generation is one that the database does not know yet: what a writer leaves that is killed is removed by the next. */
  create(generation: Omit<Generation, "state" | "created">): VectorWriter {
    return new VectorWriter(this.store.vectorsPath(generation), headerOf(generation))
  }

  /** Makes a file of vectors that is cut, missing, or damaged in its header whole again: what is lost becomes rows of NaN. */
  restore(generation: Generation): void {
    assert(!this.open.has(generation.id), "vectors are restored before others are written")
    const writer = VectorWriter.restored(this.store.vectorsPath(generation), headerOf(generation))
    this.open.set(generation.id, writer)
    writer.fill(this.store.count)
  }

  /** Where a reader has a file mapped, Windows keeps it: the next writer tries again. */
  async remove(id: number): Promise<void> {
    this.open.get(id)?.[Symbol.dispose]()
    this.open.delete(id)
    for (const path of [this.store.vectorsPath({ id }), this.store.codesPath({ id })])
      await rm(path, { force: true }).catch(keptWhileMapped)
  }

  /** Files of generations that were not switched to before their writer ended, or that could not be removed. */
  async removeUnknown(): Promise<void> {
    const known = new Set(this.store.generations().map(({ id }) => id))
    for (const name of await readdir(this.store.folder)) {
      const id = Number(/^(?:vectors-(\d+)\.f16|codes-(\d+)\.bits)$/.exec(name)?.slice(1).find(Boolean) ?? "NaN")
      if (!Number.isNaN(id) && !known.has(id)) await this.remove(id)
    }
  }

  [Symbol.dispose](): void {
    for (const writer of this.open.values()) writer[Symbol.dispose]()
    this.open.clear()
  }

  /** Throws UserError where not all vectors that count are there, or they are another index's. */
  requireComplete(generation: Generation): void {
    const { count } = this.store
    if (count === 0) return
    const path = this.store.vectorsPath(generation)
    requireVectorsOf(path, generation)
    const rows = rowsInFile(path, generation.dim)
    if (rows >= count) return
    throw new UserError(`${path} was cut: it has ${rows} of ${count} vectors`, repairHint(this.store.folder))
  }
}

function headerOf({ model, identity, dim, settings }: Omit<Generation, "state" | "created">): VectorHeader {
  return { model, identity, dim, settings: { ...settings } }
}

function keptWhileMapped(error: NodeJS.ErrnoException): void {
  if (!["EPERM", "EBUSY", "EACCES"].includes(error.code ?? "")) throw error
}
