/**
 * Work in a process that is replaced: after it died, by age, and by the memory that it took. No task is lost: one whose process
 * died is done by the next, and a process is replaced only when another one is open and it has answered what it was asked. A task
 * that processes die of is found, and fails alone.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import { Child, ChildDeath, type ChildProgram } from "./child.ts"

export interface Lifetime {
  /** Tasks after which a process is replaced. */
  readonly mostTasks: number
  /** Resident bytes from which on it is replaced. */
  readonly mostBytes: number
}

export const lifetimeDefaults: Lifetime = { mostTasks: 100_000, mostBytes: 4e9 }

/** A task that takes so many processes with it is at fault itself. */
const mostDeaths = 4
/** Times in a row that a process may die while it opens, with growing pauses between. */
const mostOpenings = 5

/** A task that processes died of. */
export class FatalTask extends UserError {
  constructor(deaths: number, cause: Error) {
    super(`${deaths} processes ended while they worked on this: ${cause.message}`, "leave it out", { cause })
  }
}

export class LastingProcess<Settings, Description, Task, Answer> implements AsyncDisposable {
  /** How often a process died, and how often one was replaced by age or memory. */
  readonly counts = { deaths: 0, replaced: 0 }
  private child: Promise<Child<Settings, Description, Task, Answer>> | null = null
  private replacing = false
  private closed = false
  private readonly ending = new Set<Promise<void>>()
  /** Ends when the last of the tasks that lost their process has an answer. */
  private suspects: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly program: ChildProgram<Settings>,
    private readonly lifetime: Lifetime = lifetimeDefaults,
  ) {}

  /** What the process opened. Throws what it failed with, EnvironmentError where it dies time and again. */
  async description(): Promise<Description> {
    return (await this.open()).ready
  }

  /** Its number, for tests and for people; undefined where none is open. */
  async pid(): Promise<number | undefined> {
    return (await this.child)?.pid
  }

  async residentBytes(): Promise<number> {
    return (await this.child?.catch(() => null))?.residentBytes ?? 0
  }

  /** Throws what the work fails with; FatalTask. */
  async ask(task: Task, signal?: AbortSignal): Promise<Answer> {
    try {
      return await this.try(task, signal)
    } catch (error) {
      if (!(error instanceof ChildDeath)) throw error
    }
    // One of those that the process had may have ended it. From now on they are tried one at a time, so that it takes no other
    // of them with it again; and in turns, so that processes that are ended from outside do not end the same task each time.
    for (let deaths = 1; ; deaths++) {
      try {
        return await this.alone(() => this.try(task, signal))
      } catch (error) {
        if (!(error instanceof ChildDeath)) throw error
        if (deaths + 1 >= mostDeaths) throw new FatalTask(mostDeaths, error)
      }
    }
  }

  private alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.suspects.then(work)
    this.suspects = done.catch(() => {})
    return done
  }

  private async try(task: Task, signal?: AbortSignal): Promise<Answer> {
    signal?.throwIfAborted()
    const child = await this.open()
    const answer = await child.ask(task, signal)
    void this.replaceIfOld(child)
    return answer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed = true
    const child = await this.child?.catch(() => null)
    if (child) this.end(child)
    await Promise.all(this.ending)
  }

  private async open(): Promise<Child<Settings, Description, Task, Answer>> {
    if (this.closed) throw new EnvironmentError("the server is stopping", "ask again")
    const current = this.child
    const known = await current?.catch(() => null)
    if (known?.isAlive) return known
    if (known && this.child === current) {
      this.counts.deaths++
      this.child = null
    }
    this.child ??= this.started().catch((error) => {
      this.child = null
      throw error
    })
    return this.child
  }

  private async started(): Promise<Child<Settings, Description, Task, Answer>> {
    for (let openings = 1; ; openings++) {
      const child = new Child<Settings, Description, Task, Answer>(this.program)
      try {
        await child.ready
        return child
      } catch (error) {
        this.end(child)
        if (!(error instanceof ChildDeath) || this.closed) throw error
        if (openings >= mostOpenings) throw new EnvironmentError(`${error.message}, as it opened`, error.hint)
        await sleep(100 * 2 ** openings)
      }
    }
  }

  /** The old one answers until the new one is open. */
  private async replaceIfOld(child: Child<Settings, Description, Task, Answer>): Promise<void> {
    const { mostTasks, mostBytes } = this.lifetime
    if (this.replacing || (child.tasks < mostTasks && child.residentBytes < mostBytes)) return
    this.replacing = true
    try {
      const next = await this.started()
      if (this.closed) return this.end(next)
      this.child = Promise.resolve(next)
      this.counts.replaced++
      while (child.load > 0) await sleep(20)
      this.end(child)
    } catch {
      // The old one goes on; the next answer tries again.
    } finally {
      this.replacing = false
    }
  }

  private end(child: Child<Settings, Description, Task, Answer>): void {
    const ended = child.end().finally(() => this.ending.delete(ended))
    this.ending.add(ended)
  }
}
