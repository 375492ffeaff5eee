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
  /** Resident bytes from which on it is replaced, where they are twice those of its first answers. */
  readonly mostBytes: number
  /** Seconds after which a process that neither answers nor computes is killed. */
  readonly hangSeconds: number
}

export const lifetimeDefaults: Lifetime = { mostTasks: 100_000, mostBytes: 4e9, hangSeconds: 20 }

/** A task that takes so many processes with it is at fault itself. */
const mostDeaths = 4
/** Times in a row that a process may die while it opens, with growing pauses between. */
const mostOpenings = 5
/** Milliseconds after which an open process gets a spare: no sooner, as first answers need the processors themselves. */
const spareDelay = 3000

/** A task that processes died of. */
export class FatalTask extends UserError {
  constructor(deaths: number, cause: Error) {
    super(`${deaths} processes ended while they worked on this: ${cause.message}`, "leave it out", { cause })
  }
}

export class LastingProcess<Settings, Description, Task, Answer> implements AsyncDisposable {
  /** How often a process died, and how often one was replaced by age or memory. */
  readonly counts = { deaths: 0, replaced: 0 }
  /** The one that gets the tasks. It may have died. */
  private current: Child<Settings, Description, Task, Answer> | null = null
  /** The one that takes its place. */
  private next: Promise<Child<Settings, Description, Task, Answer>> | null = null
  /** Has its code, and nothing open: what a process takes longest for before it can open anything. */
  private spare: Child<Settings, Description, Task, Answer> | null = null
  private spareTimer: NodeJS.Timeout | undefined
  private closed = false
  private lastFailure: Error | null = null
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

  /** What no process could be opened for when that was last tried; null where one is open, or it was not tried yet. */
  get failure(): Error | null {
    return this.current?.isAlive ? null : this.lastFailure
  }

  /** The number of the process that is open; undefined where none is. */
  get pid(): number | undefined {
    return this.current?.isAlive ? this.current.pid : undefined
  }

  /** As of its last answer; 0 where no process is open. */
  get residentBytes(): number {
    return this.current?.isAlive ? this.current.residentBytes : 0
  }

  /** Throws what the work fails with; FatalTask. */
  async ask(task: Task, signal?: AbortSignal): Promise<Answer> {
    await this.withoutSuspects()
    try {
      return await this.try(task, signal)
    } catch (error) {
      if (!(error instanceof ChildDeath)) throw error
    }
    // One of those that the process had may have ended it. From now on each is tried with no other beside it, so that what ends
    // a process again is known; and in turns, so that processes that are ended from outside do not end the same task each time.
    for (let deaths = 1; ; deaths++) {
      try {
        return await this.alone(() => this.try(task, signal))
      } catch (error) {
        if (!(error instanceof ChildDeath)) throw error
        if (deaths + 1 >= mostDeaths) throw new FatalTask(mostDeaths, error)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed = true
    clearTimeout(this.spareTimer)
    const opened = await this.next?.catch(() => null)
    for (const child of new Set([opened, this.current, this.spare])) if (child) this.end(child)
    await Promise.all(this.ending)
  }

  private alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.suspects.then(work)
    this.suspects = done.catch(() => {})
    return done
  }

  private async withoutSuspects(): Promise<void> {
    for (let last: unknown = null; last !== this.suspects; ) {
      last = this.suspects
      await last
    }
  }

  private async try(task: Task, signal?: AbortSignal): Promise<Answer> {
    signal?.throwIfAborted()
    const child = await this.open()
    const answer = await child.ask(task, signal)
    this.replaceIfOld(child)
    return answer
  }

  private async open(): Promise<Child<Settings, Description, Task, Answer>> {
    if (this.closed) throw new EnvironmentError("the server is stopping", "ask again")
    return this.current?.isAlive ? this.current : this.opened()
  }

  /** The next process, for all that wait for it. */
  private opened(): Promise<Child<Settings, Description, Task, Answer>> {
    if (this.next) return this.next
    this.next = this.started().finally(() => {
      this.next = null
    })
    this.next.then(
      () => {
        this.lastFailure = null
      },
      (error) => {
        this.lastFailure = error
      },
    )
    return this.next
  }

  private async started(): Promise<Child<Settings, Description, Task, Answer>> {
    for (let openings = 1; ; openings++) {
      const child = this.spare?.isAlive ? this.spare : this.newChild()
      this.spare = null
      try {
        await child.open()
        this.take(child)
        return child
      } catch (error) {
        this.end(child)
        if (!(error instanceof ChildDeath) || this.closed) throw error
        if (openings >= mostOpenings) throw new EnvironmentError(`${error.message}, as it opened`, error.hint)
        await sleep(100 * 2 ** openings)
        if (this.closed) throw error
      }
    }
  }

  private take(child: Child<Settings, Description, Task, Answer>): void {
    this.current = child
    clearTimeout(this.spareTimer)
    this.spareTimer = setTimeout(() => this.startSpare(), spareDelay).unref()
    void child.ended.then(() => this.onEnd(child))
  }

  private startSpare(): void {
    if (!this.closed && !this.spare?.isAlive && this.current?.isAlive) this.spare = this.newChild()
  }

  private newChild(): Child<Settings, Description, Task, Answer> {
    return new Child(this.program, this.lifetime.hangSeconds)
  }

  /** One that died is replaced at once, so that the next task need not wait; one that never answered would die again. */
  private onEnd(child: Child<Settings, Description, Task, Answer>): void {
    if (child.isDismissed) return
    this.counts.deaths++
    if (!this.closed && child === this.current && child.hasAnswered) this.opened().catch(() => {})
  }

  /** The old one answers until the new one is open, which the next answer tries again where it fails. */
  private replaceIfOld(child: Child<Settings, Description, Task, Answer>): void {
    const { mostTasks, mostBytes } = this.lifetime
    if (this.closed || this.next || child !== this.current) return
    if (child.tasks < mostTasks && child.residentBytes < Math.max(mostBytes, 2 * child.neededBytes)) return
    this.opened().then(
      () => {
        this.counts.replaced++
        this.end(child, { waits: true })
      },
      () => {},
    )
  }

  /** @param waits whether it answers first what it was asked */
  private end(child: Child<Settings, Description, Task, Answer>, { waits = false } = {}): void {
    const done = async () => {
      while (waits && child.load > 0 && !this.closed) await sleep(20)
      await child.end()
    }
    const ended = done().finally(() => this.ending.delete(ended))
    this.ending.add(ended)
  }
}
