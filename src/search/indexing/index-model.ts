/** The model of an index: opened when something has to be encoded. */
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { UserError } from "../../core/errors.ts"
import { type EmbedEncoder, type EncoderOptions, openEncoder } from "../../embed/open-encoder.ts"
import { weightsOf } from "../query/query-model.ts"
import { indexCommand } from "../store/index-command.ts"
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
    private readonly folder: string,
    private readonly active: Generation | null,
    private readonly source: string,
    private readonly options: IndexModelOptions,
  ) {}

  /** Throws UserError where the index is damaged, or is new and no model was named. */
  static of(folder: string, options: IndexModelOptions): IndexModel {
    const active = activeIn(folder)
    const source = options.model ?? active?.source
    if (source !== undefined) return new IndexModel(folder, active, source, options)
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
    // The same weights, whose folder was renamed or moved: from now on it is looked for there.
    if (active !== null) return { ...active, source: absoluteSource(this.source) }
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
    if (this.active === null || weightsOf(encoder.identity) === weightsOf(this.active.identity)) return encoder
    await encoder[Symbol.asyncDispose]()
    throw new UserError(
      `the index is of ${this.active.model} (${this.active.source}), and ${encoder.name} (${absoluteSource(this.source)}) is another model or has other weights`,
      `leave out --model, or change the index first: ${indexCommand(this.folder, "migrate", "--model", this.source)}`,
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
  if (weightsOf(active.identity) !== weightsOf(wanted.identity)) throw hasChanged(active)
  if (active.source === wanted.source) return active
  writer.store.run("UPDATE generations SET source = ? WHERE id = ?", wanted.source, active.id)
  return { ...active, source: wanted.source }
}

function hasChanged({ model }: Generation): UserError {
  return new UserError(`the index has just become one of ${model}`, "run the same command again")
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
