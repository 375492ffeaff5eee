/** A model as a server uses it: texts and pictures to unit vectors, through queues, a cache, and a process that is replaced. */
import { fileURLToPath } from "node:url"
import { assert, EnvironmentError } from "../../core/errors.ts"
import { workerFile } from "../../host/worker-file.ts"
import { FatalTask, LastingProcess, type Lifetime } from "../processes/lasting.ts"
import {
  ContentError,
  type ModelAnswer,
  type ModelRequest,
  type ModelSettings,
  type ModelTask,
  type ServedModel,
} from "./model-work.ts"
import { contentKey, type ResultCache } from "./result-cache.ts"
import { type Priority, TaskQueue } from "./task-queue.ts"

export interface EngineOptions {
  /** Texts and pictures that may wait, each; default: 1024. */
  readonly mostWaiting: number
  /** Texts that the tower takes at a time; default: 32. */
  readonly textBatch: number
  /** Milliseconds that an idle tower waits for more texts; default: 0. */
  readonly maxDelay: number
  readonly lifetime: Lifetime
}

export interface Asking {
  readonly priority?: Priority
  readonly signal?: AbortSignal
}

type UsableAnswer = Exclude<ModelAnswer, { readonly kind: "refused" | "changed" }>

export class ModelEngine implements AsyncDisposable {
  /** Whether the model's files are others by now: it computes nothing any more, and another engine has to be opened. */
  hasChanged = false
  readonly process: LastingProcess<ModelSettings, ServedModel, ModelRequest, ModelAnswer>
  readonly texts: TaskQueue<string, Float32Array>
  readonly pictures: TaskQueue<Uint8Array, Float32Array>
  readonly captions: TaskQueue<{ bytes: Uint8Array; perImage: number }, readonly string[]>

  private constructor(
    readonly model: ServedModel,
    process: ModelEngine["process"],
    private readonly cache: ResultCache,
    { mostWaiting, textBatch, maxDelay }: EngineOptions,
  ) {
    this.process = process
    const one = { mostWaiting, batchSize: 1 }
    this.texts = new TaskQueue({
      ...{ mostWaiting, batchSize: textBatch, slots: 1, maxDelay },
      cost: (text) => text.length,
      compute: (texts, signal) => this.textRows(texts, signal),
    })
    this.pictures = new TaskQueue({
      ...{ ...one, slots: model.pictureSlots },
      compute: async ([bytes], signal) => [await this.vectors({ kind: "picture", bytes: bytes! }, signal)],
    })
    this.captions = new TaskQueue({
      ...{ ...one, slots: 1 },
      compute: async ([wanted], signal) => {
        const answer = await this.ask({ kind: "captions", ...wanted! }, signal)
        assert(answer.kind === "captions", "captions for a picture")
        return [answer.captions]
      },
    })
  }

  /** Throws what opening the model fails with. */
  static async open(settings: ModelSettings, cache: ResultCache, options: EngineOptions): Promise<ModelEngine> {
    const file = workerFile(import.meta.url, "model-process")
    const process = new LastingProcess<ModelSettings, ServedModel, ModelRequest, ModelAnswer>(
      { file: fileURLToPath(file), settings },
      options.lifetime,
    )
    try {
      return new ModelEngine(await process.description(), process, cache, options)
    } catch (error) {
      await process[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Throws ContentError where the model has no text tower, QueueFull. */
  async encodeTexts(texts: readonly string[], asking: Asking = {}): Promise<Float32Array[]> {
    if (this.model.contextLength === null)
      throw new ContentError(`${this.model.name} has no text tower`, "send pictures only")
    return this.cached("text", texts, this.texts, asking)
  }

  /** @param pictures the bytes of their files. Throws ContentError where one is not a picture, QueueFull. */
  encodePictures(pictures: readonly Uint8Array[], asking: Asking = {}): Promise<Float32Array[]> {
    return this.cached("picture", pictures, this.pictures, asking)
  }

  async caption(bytes: Uint8Array, perImage: number, { priority = "query", signal }: Asking = {}) {
    if (!this.model.hasCaptions) throw new ContentError(`${this.model.name} writes no captions`, "serve a captioner")
    return (await this.captions.add([{ bytes, perImage }], priority, signal))[0]!
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]()
  }

  /** What is asked twice in one request is computed once. */
  private async cached<Content extends string | Uint8Array>(
    kind: "text" | "picture",
    contents: readonly Content[],
    queue: TaskQueue<Content, Float32Array>,
    { priority = "query", signal }: Asking,
  ): Promise<Float32Array[]> {
    const keys = contents.map((content) => contentKey(this.model.files, kind, content))
    const found = new Map<string, Float32Array>()
    const missing = new Map<string, Content>()
    keys.forEach((key, i) => {
      const known = found.get(key) ?? (missing.has(key) ? null : this.cache.get(key))
      if (known) found.set(key, known)
      else missing.set(key, contents[i]!)
    })
    const made = missing.size > 0 ? await queue.add([...missing.values()], priority, signal) : []
    ;[...missing.keys()].forEach((key, i) => {
      found.set(key, made[i]!)
      this.cache.set(key, made[i]!)
    })
    return keys.map((key) => found.get(key)!)
  }

  private async textRows(texts: readonly string[], signal: AbortSignal): Promise<(Float32Array | Error)[]> {
    try {
      return this.rows(await this.vectors({ kind: "texts", texts }, signal))
    } catch (error) {
      if (!(error instanceof FatalTask) || texts.length === 1) throw error
    }
    // Processes died of one of them, which is found alone; the others are requests of other people.
    return Promise.all(
      texts.map((text) => this.vectors({ kind: "texts", texts: [text] }, signal).catch((error: Error) => error)),
    )
  }

  private async vectors(task: ModelTask, signal: AbortSignal): Promise<Float32Array> {
    const answer = await this.ask(task, signal)
    assert(answer.kind === "vectors", `vectors for ${task.kind}`)
    return answer.vectors
  }

  private async ask(task: ModelTask, signal: AbortSignal): Promise<UsableAnswer> {
    const answer = await this.process.ask({ ...task, files: this.model.files }, signal)
    if (answer.kind === "refused") throw new ContentError(answer.error.message, answer.error.hint)
    if (answer.kind !== "changed") return answer
    this.hasChanged = true
    throw new EnvironmentError(`the files of ${this.model.name} have changed`, "ask again")
  }

  private rows(vectors: Float32Array): Float32Array[] {
    const { embedDim } = this.model
    return Array.from({ length: vectors.length / embedDim }, (_, i) => vectors.slice(i * embedDim, (i + 1) * embedDim))
  }
}
