/** Several models by name: each is opened when it is asked for, and put away when nobody has asked for it for a while. */
import { EnvironmentError, UserError } from "../../core/errors.ts"
import { nearestNames } from "../../core/nearest.ts"
import type { ModelSettings } from "./model-work.ts"
import { ResultCache } from "./result-cache.ts"
import { type EngineOptions, ModelEngine } from "./served-model.ts"

export interface ModelsOptions extends EngineOptions {
  /** Seconds without a request after which a model is put away; null: never. */
  readonly idleSeconds: number | null
  /** Bytes of vectors that are kept of each model. */
  readonly cacheBytes: number
}

interface Entry {
  readonly name: string
  readonly settings: ModelSettings
  readonly cache: ResultCache
  /** The engine, which may not be open yet. */
  opening: Promise<ModelEngine> | null
  engine: ModelEngine | null
  /** What it could not be opened for when that was last tried, and the milliseconds when that was. */
  failure: { readonly error: unknown; readonly at: number } | null
  users: number
  idle: NodeJS.Timeout | null
}

/** Milliseconds in which a model that could not be opened is not tried again: requests come faster than processes start. */
const failurePause = 1000

/** Milliseconds; a timer that is set to more goes off at once. */
const longestTimer = 2 ** 31 - 1

/** A model whose files change more often than a request takes is not a model yet. */
const mostTries = 3

/** A name that no model is served under. */
export class UnknownModel extends UserError {}

export class Models implements AsyncDisposable {
  private readonly entries: ReadonlyMap<string, Entry>
  private readonly ending = new Set<Promise<void>>()
  private closed = false

  /** @param settings by the name that requests use; the first is what is used where none is named */
  constructor(
    settings: ReadonlyMap<string, ModelSettings>,
    private readonly options: ModelsOptions,
  ) {
    this.entries = new Map(
      [...settings].map(([name, each]) => [
        name,
        {
          name,
          settings: each,
          cache: new ResultCache(options.cacheBytes),
          opening: null,
          engine: null,
          failure: null,
          users: 0,
          idle: null,
        },
      ]),
    )
  }

  get names(): string[] {
    return [...this.entries.keys()]
  }

  /** Throws UnknownModel. */
  requireName(name: string): void {
    this.entry(name)
  }

  /** The engines that are open. */
  open(): ReadonlyMap<string, ModelEngine> {
    return new Map([...this.entries].flatMap(([name, { engine }]) => (engine ? [[name, engine]] : [])))
  }

  /**
   * Whether a request for one of them can be answered: a model that was put away is opened for it. One that could not be opened is
   * tried again now, because a balancer that is told "not ready" sends no request which would do that.
   */
  checkReady(): boolean {
    if (this.closed) return false
    const failed = [...this.entries.values()].filter(({ failure }) => failure !== null)
    for (const { name } of failed) this.use(name, async () => {}).catch(() => {})
    return failed.length < this.entries.size
  }

  cacheCounts(name: string): ResultCache["counts"] {
    return this.entries.get(name)!.cache.counts
  }

  /**
   * Does `work` with the model, which stays open as long as it takes; again where the model's files change meanwhile.
   *
   * @param name absent: the first model's
   * @param work is told the name, too
   * @throws UnknownModel; what opening the model fails with
   */
  async use<T>(name: string | undefined, work: (engine: ModelEngine, name: string) => Promise<T>): Promise<T> {
    const entry = this.entry(name)
    entry.users++
    if (entry.idle) clearTimeout(entry.idle)
    try {
      return await this.worked(entry, work)
    } finally {
      entry.users--
      this.putAwayLater(entry)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed = true
    for (const entry of this.entries.values()) this.putAway(entry)
    await Promise.all(this.ending)
  }

  /** With one engine from begin to end: where the model's files have changed meanwhile, again with what they are now. */
  private async worked<T>(entry: Entry, work: (engine: ModelEngine, name: string) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      const engine = await this.opened(entry)
      try {
        return await work(engine, entry.name)
      } catch (error) {
        const { failure } = engine.process
        if (!engine.hasChanged && !failure) throw error
        // Others may have seen it before, and have another engine by now.
        if (entry.engine === engine) {
          this.putAway(entry)
          if (failure) entry.failure = { error: failure, at: performance.now() }
        }
        if (failure || tries === mostTries) throw error
      }
    }
  }

  private entry(name: string | undefined): Entry {
    const found = name === undefined ? this.entries.values().next().value : this.entries.get(name)
    if (found) return found
    const near = nearestNames(name!, this.names).join(", ")
    throw new UnknownModel(`no model is served as ${JSON.stringify(name)}`, `name one of these: ${near}`)
  }

  private opened(entry: Entry): Promise<ModelEngine> {
    if (this.closed) throw new EnvironmentError("the server is stopping", "ask again")
    const { failure } = entry
    if (failure && performance.now() - failure.at < failurePause) throw failure.error
    entry.opening ??= this.openedAnew(entry)
    return entry.opening
  }

  private async openedAnew(entry: Entry): Promise<ModelEngine> {
    try {
      entry.engine = await ModelEngine.open(entry.settings, entry.cache, this.options)
      entry.failure = null
      return entry.engine
    } catch (error) {
      entry.opening = null
      entry.failure = { error, at: performance.now() }
      throw error
    }
  }

  private putAwayLater(entry: Entry): void {
    const { idleSeconds } = this.options
    if (idleSeconds === null || entry.users > 0 || !entry.opening) return
    if (entry.idle) clearTimeout(entry.idle)
    entry.idle = setTimeout(
      () => {
        if (entry.users === 0) this.putAway(entry)
      },
      Math.min(idleSeconds * 1000, longestTimer),
    )
    entry.idle.unref()
  }

  private putAway(entry: Entry): void {
    const { opening, idle } = entry
    if (idle) clearTimeout(idle)
    entry.opening = entry.engine = null
    if (!opening) return
    const ended = opening
      .then((open) => {
        if (entry.engine === open) entry.engine = null
        return open[Symbol.asyncDispose]()
      })
      .catch(() => {})
      .finally(() => this.ending.delete(ended))
    this.ending.add(ended)
  }
}
