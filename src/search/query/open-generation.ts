/** The vectors and the model of the generation that answers, opened once and closed when no query needs them any more. */
import type { Background } from "../calibrate/background.ts"
import { backgroundKey } from "../calibrate/make-background.ts"
import { openScanner, type Scanner } from "../scan/scanner.ts"
import type { Generation, IndexStore } from "../store/index-store.ts"
import { requireVectorsOf, vectorOffset } from "../store/vector-file.ts"
import { QueryModel, type QueryModelOptions } from "./query-model.ts"

export class OpenGeneration {
  readonly model: QueryModel
  private opened: Promise<Scanner> | null = null
  private users = 0
  private isEnding = false
  private kept: { readonly state: string | null; readonly background: Background } | null = null

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
      this.users--
      if (this.isEnding && this.users === 0) await this.close()
    }
  }

  /** Closes it as soon as nobody uses it. */
  async end(): Promise<void> {
    if (this.isEnding) return
    this.isEnding = true
    if (this.users === 0) await this.close()
  }

  /** Read once, and again when its pictures changed. */
  background(store: IndexStore): Background {
    const { id, dim } = this.generation
    const state = store.meta(backgroundKey(this.generation))
    if (this.kept?.state === state) return this.kept.background
    const vectors = (kind: string) => {
      const found = store.rows(
        "SELECT vector FROM background WHERE generation = ? AND kind = ? ORDER BY number",
        id,
        kind,
      )
      const all = new Float32Array(found.length * dim)
      found.forEach(({ vector }, i) => {
        all.set(float32Of(vector as Uint8Array), i * dim)
      })
      return all
    }
    this.kept = { state, background: { dim, prompts: vectors("prompt"), pictures: vectors("picture") } }
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

function float32Of(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.slice().buffer)
}
