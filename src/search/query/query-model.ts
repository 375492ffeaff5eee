/**
 * The model of an index, for queries: found by its name, known by its weights, and opened when something is to be encoded that
 * was not encoded before. Vectors of texts are kept in this user's cache, so that a text that was looked for needs no model.
 */
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { UserError } from "../../core/errors.ts"
import { commandLine } from "../../core/shell-quote.ts"
import type { LabelTable } from "../../core/text/label-store.ts"
import { processorIdentity } from "../../host/processor-identity.ts"
import { version } from "../../host/version.ts"
import type { Model } from "../../run/model.ts"
import type { VectorCache } from "../../vector-cache/vector-cache.ts"
import type { Generation } from "../store/index-store.ts"
import { cacheOrNull, type FoundModel, findIndexModel } from "./find-index-model.ts"

export interface QueryModelOptions {
  /** In place of the one that the index names, which may be elsewhere now: it must have the same weights. */
  readonly model?: string | undefined
  readonly threads?: number | undefined
  /** Whether vectors of texts are kept between runs; default: yes. */
  readonly cache?: boolean | undefined
  /** For a process that asks one query: the text tower opens sooner, and encodes slower. Default: no. */
  readonly once?: boolean | undefined
  readonly onStage?: ((text: string) => void) | undefined
}

/** Texts that a process has at hand. */
const mostTexts = 1000

export class QueryModel implements AsyncDisposable {
  private found: Promise<FoundModel> | null = null
  private readonly towers = new Map<"text" | "image", Promise<Model>>()
  private readonly texts = new Map<string, Float32Array>()
  private readonly cache: VectorCache | null
  private readonly keeping: Promise<void>[] = []

  constructor(
    private readonly index: string,
    readonly generation: Generation,
    private readonly options: QueryModelOptions,
  ) {
    this.cache = options.cache === false ? null : cacheOrNull()
  }

  /** Throws UserError where another model was asked for than the index's. */
  async requireChosen(): Promise<void> {
    const { model } = this.options
    if (model !== undefined && model !== this.generation.source) await this.find()
  }

  /** Opens the text tower, so that the first query does not wait for it. */
  async warm(): Promise<void> {
    await (await this.tower("text")).encodeTexts(["a photo"])
  }

  /** Unit vectors [dim], one for each text. */
  async encodeTexts(texts: readonly string[]): Promise<Float32Array[]> {
    const missing = [...new Set(texts)].filter((text) => !this.texts.has(text))
    const known = new Map(texts.filter((text) => this.texts.has(text)).map((text) => [text, this.texts.get(text)!]))
    const made = missing.length > 0 ? await this.keptOrEncoded(missing) : []
    missing.forEach((text, i) => {
      known.set(text, made[i]!)
    })
    if (this.texts.size > mostTexts) this.texts.clear()
    for (const [text, vector] of known) this.texts.set(text, vector)
    return texts.map((text) => known.get(text)!)
  }

  /** A unit vector [dim] of a picture, read as the index's were. Throws UserError where it cannot be read. */
  async encodePicture(bytes: Uint8Array, name: string): Promise<Float32Array> {
    const { preparePixels } = await import("../../pictures/prepare-pixels.ts")
    const { pixelOptions } = await import("../../pictures/reading.ts")
    const { defaultMaxPixels } = await import("../../host/image/images.ts")
    const model = await this.tower("image")
    const { preprocessing } = model
    const out = new Float32Array(3 * preprocessing.size ** 2)
    const reading = { ...pixelOptions(this.generation.settings, defaultMaxPixels), name }
    await preparePixels(bytes, [{ preprocessing, out }], reading, "beside")
    return this.unit(await model.encodePixels(out, 1))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.keeping)
    const open = [...this.towers.values()]
    this.towers.clear()
    await Promise.all(open.map(async (model) => (await model.catch(() => null))?.dispose()))
  }

  private async keptOrEncoded(texts: readonly string[]): Promise<Float32Array[]> {
    const { dim } = this.generation
    const rows = new Float32Array(texts.length * dim)
    // An open tower is faster than a file.
    const table = this.towers.has("text") ? null : await this.table(texts.length)
    const missing = table ? await table.find(texts, rows) : texts.map((_, i) => i)
    if (missing.length > 0) {
      const model = await this.tower("text")
      const named = missing.map((i) => texts[i]!)
      const made = this.unit(await model.encodeTexts(named))
      missing.forEach((row, i) => {
        rows.set(made.subarray(i * dim, (i + 1) * dim), row * dim)
      })
      // The answer does not wait for the disk.
      this.keeping.push(keep(table, named, made))
    } else await table?.end()
    return texts.map((_, i) => rows.slice(i * dim, (i + 1) * dim))
  }

  private async table(texts: number): Promise<LabelTable | null> {
    const key = ["query texts 1", weightsOf(this.generation.identity), processorIdentity(), version()]
    const store = this.cache?.labelStore(key, mostCacheBytes)
    return (await store?.open(texts, ["{}"], this.generation.dim)) ?? null
  }

  private unit(rows: Float32Array): Float32Array {
    return l2Normalize(rows, this.generation.dim)
  }

  private tower(tower: "text" | "image"): Promise<Model> {
    const open = this.towers.get(tower) ?? this.openTower(tower)
    this.towers.set(tower, open)
    open.catch(() => this.towers.delete(tower))
    return open
  }

  private async openTower(towers: "text" | "image"): Promise<Model> {
    const { folder } = await this.find()
    const { openFolder } = await import("../../run/node.ts")
    const { threads, once = false } = this.options
    // While an indexer has the processors, threads that spin wait for each other.
    return openFolder(folder, { threads, towers, cache: false, spinning: false, prepacking: !once })
  }

  private find(): Promise<FoundModel> {
    this.found ??= this.findSame()
    this.found.catch(() => {
      this.found = null
    })
    return this.found
  }

  private async findSame(): Promise<FoundModel> {
    const { identity, source, model } = this.generation
    const given = this.options.model ?? source
    const found = await this.lookUp(given)
    if (weightsOf(found.identity) === weightsOf(identity)) return found
    const migrate = commandLine(["mobileclip", "index", "migrate", "--index", this.index, "--model", given])
    throw this.options.model === undefined
      ? new UserError(
          `${source} has other weights now than those that the index in ${this.index} was made with (${model})`,
          `restore them, name them with --model, or change the index to the new ones: ${migrate}`,
        )
      : new UserError(
          `${given} is another model than the one of the index in ${this.index} (${model}, ${source})`,
          `leave out --model, or change the index to it: ${migrate}`,
        )
  }

  private async lookUp(given: string): Promise<FoundModel> {
    try {
      return await findIndexModel(given, this.cache, this.options.onStage)
    } catch (error) {
      if (!(error instanceof UserError) || this.options.model !== undefined) throw error
      throw new UserError(
        `the index in ${this.index} is of the model ${this.generation.source}, which cannot be opened: ${error.message}`,
        "name the place where it is now with --model",
        { cause: error },
      )
    }
  }
}

async function keep(table: LabelTable | null, texts: readonly string[], vectors: Float32Array): Promise<void> {
  await table?.keep(texts, vectors)
  await table?.end()
}

/** A file of more bytes is read longer than a text is encoded. */
const mostCacheBytes = 2 ** 25

/** An identity without the model's name: a folder that was renamed has the same weights. */
export function weightsOf(identity: string): string {
  return identity.replace(/^.*?(?= \S+=sha256:)/s, "")
}
