/** What queries of one generation need: its vectors, its model, and what was read of it, kept until no query needs them any more. */
import type { KeptBackground } from "../calibrate/kept-statistics.ts"
import { backgroundState, readBackground } from "../calibrate/make-background.ts"
import { openScanner, type Scanner } from "../scan/scanner.ts"
import type { Generation, IndexStore } from "../store/index-store.ts"
import { requireVectorsOf, vectorOffset } from "../store/vector-file.ts"
import { QueryModel, type QueryModelOptions } from "./query-model.ts"
import { KeptMasks } from "./rows/kept-masks.ts"
import { KeptWords } from "./rows/words.ts"

export class OpenGeneration {
  readonly model: QueryModel
  readonly masks = new KeptMasks()
  readonly words = new KeptWords()
  private opened: Promise<Scanner> | null = null
  private users = 0
  private whenUnused: (() => void) | null = null
  private kept: { readonly state: string; readonly background: KeptBackground } | null = null

  constructor(
    private readonly store: IndexStore,
    readonly generation: Generation,
    options: QueryModelOptions,
  ) {
    this.model = new QueryModel(store.folder, generation, options)
  }

  /** Opened when it is first used. Throws UserError where the vectors cannot be opened. */
  scanner(): Promise<Scanner> {
    const opened = this.opened ?? this.openScanner()
    this.opened = opened
    opened.catch(() => {
      this.opened = null
    })
    return opened
  }

  async using<T>(work: () => Promise<T>): Promise<T> {
    this.users++
    try {
      return await work()
    } finally {
      if (--this.users === 0) this.whenUnused?.()
    }
  }

  /** Closes it when nobody uses it any more; nobody may begin to. */
  async end(): Promise<void> {
    if (this.users > 0)
      await new Promise<void>((resolve) => {
        this.whenUnused = resolve
      })
    await this.close()
  }

  /** Read once, and again when it changed. Within a transaction. */
  background(): KeptBackground {
    const state = backgroundState(this.store, this.generation)
    if (this.kept?.state !== state) this.kept = { state, background: readBackground(this.store, this.generation) }
    return this.kept.background
  }

  private async openScanner(): Promise<Scanner> {
    const { folder } = this.store
    const { dim, settings } = this.generation
    if (settings.store !== "file") {
      const { openTableScanner } = await import("../lance/index-table.ts")
      return openTableScanner(settings.store.lancedb, folder, this.generation)
    }
    const path = this.store.vectorsPath(this.generation)
    requireVectorsOf(path, this.generation)
    return openScanner(path, { dim, offset: vectorOffset, codes: this.store.codesPath(this.generation) })
  }

  private async close(): Promise<void> {
    const scanner = await this.opened?.catch(() => null)
    scanner?.close()
    this.opened = null
    await this.model[Symbol.asyncDispose]()
  }
}
