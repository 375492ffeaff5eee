/** The model of an index that pictures are imported into: opened when something has to be encoded. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { UserError } from "../../../core/errors.ts"
import { type EmbedEncoder, type EncoderOptions, openEncoder } from "../../../embed/open-encoder.ts"
import { databaseFile, type Generation, type IndexSettings, IndexStore } from "../../store/index-store.ts"
import type { NewGeneration } from "../../store/index-writer.ts"

export interface IndexModelOptions extends Pick<EncoderOptions, "onStage" | "onChoice"> {
  /** Whatever `loadModel` takes: for a new index; an index that is there knows its own. */
  readonly model?: string
  readonly threads?: number
}

/** How pictures of a new index are read. */
const newSettings: IndexSettings = { orientation: "apply", decode: "exact", store: "file" }

export class IndexModel implements AsyncDisposable {
  private opened: Promise<EmbedEncoder> | null = null

  private constructor(
    private readonly active: Generation | null,
    private readonly source: string,
    private readonly options: IndexModelOptions,
  ) {}

  /** Throws UserError where the index is damaged, or is new and no model was named. */
  static of(folder: string, options: IndexModelOptions): IndexModel {
    const active = activeIn(folder)
    const source = options.model ?? active?.source
    if (source !== undefined) return new IndexModel(active, source, options)
    throw new UserError("the index is new, and no model was named", "name the one that searches it: --model MODEL")
  }

  /** Throws UserError where it is not the index's, or cannot be opened. */
  encoder(): Promise<EmbedEncoder> {
    this.opened ??= this.open()
    return this.opened
  }

  async description(): Promise<NewGeneration> {
    if (this.active !== null && this.options.model === undefined) return this.active
    const { name, identity, embedDim } = await this.encoder()
    return { model: name, source: this.source, identity, dim: embedDim, settings: this.active?.settings ?? newSettings }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What it cannot be opened for was thrown where it was needed.
    await this.opened?.then(
      (encoder) => encoder[Symbol.asyncDispose](),
      () => {},
    )
  }

  private async open(): Promise<EmbedEncoder> {
    const { threads, onStage, onChoice } = this.options
    const options = { ...(threads !== undefined && { threads }), ...(onStage && { onStage }), onChoice }
    const encoder = await openEncoder(this.source, options, async () => null)
    if (this.active === null || encoder.identity === this.active.identity) return encoder
    await encoder[Symbol.asyncDispose]()
    throw new UserError(
      `the index is of ${this.active.model}, and ${encoder.name} is another model or has other weights`,
      "leave out --model, or change the index first: mobileclip index migrate --model MODEL",
    )
  }
}

/** Null where there is no index, or it is empty. */
function activeIn(folder: string): Generation | null {
  if (!existsSync(join(folder, databaseFile))) return null
  using store = IndexStore.open(folder)
  return store.generations().find(({ state }) => state === "active") ?? null
}
