/** The vectors and the model of the generation that answers, opened once and closed when no query needs them any more. */
import { join } from "node:path"
import type { Background } from "../calibrate/background.ts"
import { openScanner, type Scanner } from "../scan/scanner.ts"
import type { Generation, IndexStore } from "../store/index-store.ts"
import { QueryModel, type QueryModelOptions } from "./query-model.ts"

/** `vectorOffset` of store/vector-file.ts, which a query does not load: it checks headers. */
const vectorOffset = 4096

export class OpenGeneration {
  readonly model: QueryModel
  private users = 0
  private isEnding = false
  private kept: { readonly rows: number; readonly background: Background } | null = null

  private constructor(
    readonly generation: Generation,
    readonly scanner: Scanner,
    model: QueryModel,
  ) {
    this.model = model
  }

  /** Throws UserError where the file of vectors cannot be opened. */
  static async open(store: IndexStore, generation: Generation, options: QueryModelOptions): Promise<OpenGeneration> {
    const layout = {
      dim: generation.dim,
      offset: vectorOffset,
      codes: join(store.folder, `codes-${generation.id}.bits`),
    }
    const scanner = openScanner(store.vectorsPath(generation), layout)
    return new OpenGeneration(generation, scanner, new QueryModel(store.folder, generation, options))
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

  /** Read once, and again when rows were added to it. */
  background(store: IndexStore): Background {
    const { id, dim } = this.generation
    const rows = Number(store.row("SELECT count(*) AS count FROM background WHERE generation = ?", id)!.count)
    if (this.kept?.rows === rows) return this.kept.background
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
    this.kept = { rows, background: { dim, prompts: vectors("prompt"), pictures: vectors("picture") } }
    return this.kept.background
  }

  private async close(): Promise<void> {
    this.scanner.close()
    await this.model[Symbol.asyncDispose]()
  }
}

function float32Of(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.slice().buffer)
}
