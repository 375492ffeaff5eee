/**
 * Threads with towers that outlive a call: opening them takes as long as a dozen pictures. They end when nobody has used
 * them for a while, so that memory is given back, and with their owner.
 */
import { isDeepStrictEqual } from "node:util"
import { type TowerThreadSettings, TowerThreads } from "./tower-threads.ts"

interface Kept {
  readonly settings: TowerThreadSettings
  readonly threads: number
  readonly pool: TowerThreads
  users: number
  idle: NodeJS.Timeout | null
}

export class KeptTowers implements AsyncDisposable {
  private kept: Kept | null = null
  private readonly ending = new Set<Promise<void>>()

  constructor(private readonly idleMilliseconds = 30_000) {}

  /** Whether there are threads. */
  get isOpen(): boolean {
    return this.kept !== null
  }

  /** Those of an earlier use, where they are of the same settings; else new ones. To be disposed of after the use. */
  use(settings: TowerThreadSettings, threads: number): AsyncDisposable & { readonly pool: TowerThreads } {
    const fits = this.kept?.threads === threads && isDeepStrictEqual(this.kept.settings, settings)
    if (!fits && this.kept && this.kept.users > 0) return alone(new TowerThreads(settings, threads))
    if (!fits && this.kept) this.end(this.kept)
    this.kept ??= { settings, threads, pool: new TowerThreads(settings, threads), users: 0, idle: null }
    return this.enter(this.kept)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.kept) this.end(this.kept)
    await Promise.all(this.ending)
  }

  private enter(used: Kept) {
    used.users++
    if (used.idle) clearTimeout(used.idle)
    return { pool: used.pool, [Symbol.asyncDispose]: async () => this.leave(used) }
  }

  private leave(used: Kept): void {
    used.users--
    if (used.users > 0 || used !== this.kept) return
    used.idle = setTimeout(() => this.end(used), this.idleMilliseconds)
    // Nor do idle threads keep the process.
    used.idle.unref()
  }

  private end(used: Kept): void {
    if (used.idle) clearTimeout(used.idle)
    this.kept = null
    const ended = used.pool[Symbol.asyncDispose]().finally(() => this.ending.delete(ended))
    this.ending.add(ended)
  }
}

function alone(pool: TowerThreads) {
  return { pool, [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose]() }
}
