/**
 * An index while other processes write to it: the database that lies in its folder now, and the generation that answers. Work is
 * done on one state of both, and again on the next one where another generation took its place before the work ended.
 */
import { statSync } from "node:fs"
import { join } from "node:path"
import { UserError } from "../../core/errors.ts"
import { databaseFile, type Generation, IndexStore } from "../store/index-store.ts"
import { OpenGeneration } from "./open-generation.ts"
import type { QueryModelOptions } from "./query-model.ts"

/** What one transaction saw. */
export interface IndexState {
  readonly store: IndexStore
  readonly open: OpenGeneration
  /** Rows that count: later ones are of another state. */
  readonly count: number
  readonly lastFile: number
}

/** An index that changes generations more often than work on it ends is a fault. */
const mostTries = 5

export class FollowedIndex implements AsyncDisposable {
  private opened: { readonly id: string; readonly generation: OpenGeneration } | null = null
  private readonly ending = new Set<Promise<void>>()
  private place: string
  private isDisposed = false
  private store: IndexStore
  private openings = 0

  /** Throws UserError where there is no index, it is damaged, or of a newer version. */
  constructor(
    readonly folder: string,
    private readonly options: QueryModelOptions,
  ) {
    this.place = placeOf(folder)
    this.store = IndexStore.open(folder)
  }

  /** Opened again where another one lies in its place. Throws UserError where none does. */
  database(): IndexStore {
    if (this.isDisposed) throw new Error(`the index in ${this.folder} was disposed here`)
    const place = placeOf(this.folder)
    if (place === this.place && !this.store.isOutdated) return this.store
    const store = IndexStore.open(this.folder)
    this.store[Symbol.dispose]()
    this.store = store
    this.place = place
    this.openings++
    return store
  }

  /** The one that answers now. Throws UserError where nothing was indexed yet. */
  generation(): OpenGeneration {
    return this.open(this.database().active())
  }

  /**
   * What `work` gives, which is done on one state of the index. Where it gives null, or fails and another generation answers
   * now, whose files may have taken the place of those that it read, it is done again.
   *
   * @throws UserError where that has no end
   */
  async onOneState<T>(work: (state: IndexState) => Promise<T | null>): Promise<T> {
    for (let tries = 0; tries < mostTries; tries++) {
      const state = this.state()
      try {
        const result = await state.open.using(() => work(state))
        if (result !== null) return result
      } catch (error) {
        if (this.isStill(state)) throw error
      }
    }
    throw new UserError(`the index in ${this.folder} is changed all the time`, "ask again when its migration has ended")
  }

  /** What `read` gives of one transaction; null where another generation answers now. It must not wait for anything. */
  readStill<T>(state: IndexState, read: (now: Pick<IndexState, "count" | "lastFile">) => T): T | null {
    return state.store.reading(() => (this.isStill(state) ? read(extentOf(state.store)) : null))
  }

  /** Frees the model and closes the database as soon as all work on them has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Work that is done again may open another one.
    while (this.opened || this.ending.size > 0) {
      this.endOpened()
      await Promise.all(this.ending)
    }
    this.store[Symbol.dispose]()
    this.isDisposed = true
  }

  private state(): IndexState {
    const store = this.database()
    return store.reading(() => ({ store, open: this.open(store.active()), ...extentOf(store) }))
  }

  private isStill({ store, open }: IndexState): boolean {
    return store === this.store && store.active().id === open.generation.id
  }

  private open(generation: Generation): OpenGeneration {
    const id = `${this.openings} ${generation.id} ${generation.created}`
    if (this.opened?.id === id) return this.opened.generation
    this.endOpened()
    this.opened = { id, generation: new OpenGeneration(this.store, generation, this.options) }
    return this.opened.generation
  }

  /** Work that uses it goes on. */
  private endOpened(): void {
    const ending = this.opened?.generation.end().catch(() => {})
    this.opened = null
    if (!ending) return
    this.ending.add(ending)
    ending.then(() => this.ending.delete(ending))
  }
}

function extentOf(store: IndexStore): Pick<IndexState, "count" | "lastFile"> {
  return { count: store.count, lastFile: Number(store.row("SELECT max(id) AS id FROM files")?.id ?? 0) }
}

/** What is another one for another file in the same place. */
function placeOf(folder: string): string {
  const found = statSync(join(folder, databaseFile), { throwIfNoEntry: false })
  return found ? `${found.dev} ${found.ino}` : "gone"
}
