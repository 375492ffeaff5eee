/** The model of an index: opened when something has to be encoded. */
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { UserError } from "../../core/errors.ts"
import { type EmbedEncoder, type EncoderOptions, openEncoder } from "../../embed/open-encoder.ts"
import { databaseFile, type Generation, type IndexSettings, IndexStore, statOf } from "../store/index-store.ts"
import type { IndexWriter, NewGeneration } from "../store/index-writer.ts"

export interface IndexModelOptions extends Pick<EncoderOptions, "onStage" | "onChoice"> {
  /** Whatever `loadModel` takes: for a new index; an index that is there knows its own. */
  readonly model?: string | undefined
  readonly threads?: number | undefined
  /** How pictures of a new index are read; an index that is there refuses others. */
  readonly settings?: Partial<IndexSettings> | undefined
}

/** How pictures of a new index are read. */
export const indexDefaults: IndexSettings = { orientation: "apply", decode: "exact", store: "file" }

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
    const settings = settingsOf(this.active, this.options.settings)
    const { active, options } = this
    // A model of the same name is opened, and compared, when something is encoded.
    if (active !== null && (options.model === undefined || absoluteSource(options.model) === active.source))
      return active
    const { name, identity, embedDim } = await this.encoder()
    return { model: name, source: absoluteSource(this.source), identity, dim: embedDim, settings }
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

/**
 * The generation that pictures are added to, made where the index is new.
 *
 * @param wanted as `IndexModel.description` gave it before the index was locked
 * @throws UserError where the index has become another model's since
 */
export function generationOf(writer: IndexWriter, wanted: NewGeneration): Generation {
  const { active } = writer
  if (active === null) return writer.addGeneration(wanted)
  if (active.identity === wanted.identity) return active
  throw new UserError(`the index has just become one of ${active.model}`, "run the same command again")
}

/** What is written down does not depend on the working folder. */
export function absoluteSource(source: string): string {
  return existsSync(source) ? resolve(source) : source
}

/** Throws UserError where the index is of other ones. */
function settingsOf(active: Generation | null, wished: Partial<IndexSettings> = {}): IndexSettings {
  const settings = { ...(active?.settings ?? indexDefaults), ...wished }
  const names = Object.keys(indexDefaults) as (keyof IndexSettings)[]
  const other = active && names.find((name) => !isDeepStrictEqual(settings[name], active.settings[name]))
  if (!other) return settings
  throw new UserError(
    `pictures of this index are read with ${other} ${JSON.stringify(active.settings[other])}, not ${JSON.stringify(settings[other])}`,
    "leave the option out, or make another index with --index",
  )
}

/** Null where there is no index, or it is empty. */
function activeIn(folder: string): Generation | null {
  if (!statOf(join(folder, databaseFile))) return null
  using store = IndexStore.open(folder)
  return store.generations().find(({ state }) => state === "active") ?? null
}
