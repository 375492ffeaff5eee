/**
 * Shards in worker processes, one at a time in each. Processes, because ONNX Runtime and libtorch keep state and threads
 * of their own for a whole process, and because what takes one down leaves the others and this one at work.
 */
import { type ChildProcess, fork } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import { fromMessage } from "../../core/error-message.ts"
import { assert, EnvironmentError, messageOf, UserError } from "../../core/errors.ts"
import { type RunOptions, type ShardResult, type ShardTask, WorkerDeath } from "../runner.ts"
import type { FromWorker, ToWorker } from "./serve.ts"

interface PoolOptions {
  /** The program of a worker: a JavaScript file that calls `serveShards`. */
  readonly program: string
  /** What the program needs to open its models. */
  readonly settings: unknown
  readonly processes: number
  /** Environment variables of the workers, added to this process's own. */
  readonly environment?: Readonly<Record<string, string>>
}

/** A worker, or the one that took its place. */
interface Slot<Task, Result> {
  worker: Worker<Task, Result>
}

interface Turn<Task, Result> {
  readonly resolve: (slot: Slot<Task, Result>) => void
  readonly reject: (error: Error) => void
}

/** Times in a row that a worker may fail to open its models before the pool gives up, with growing pauses between. */
const mostOpenings = 3

/** Workers that one shard may take with it before it is at fault itself. */
const mostDeaths = 3

/** Milliseconds that a worker has to end by itself when its channel is closed. */
const patience = 15_000

/** A task names its shard by `input`. A pool of a stage is a `ShardRunner`. */
export class ProcessPool<Task extends Pick<ShardTask, "input"> = ShardTask, Result = ShardResult>
  implements AsyncDisposable
{
  readonly slots: number
  private readonly idle: Slot<Task, Result>[]
  private readonly waiting: Turn<Task, Result>[] = []
  private readonly all: readonly Slot<Task, Result>[]
  private failedOpenings = 0
  private closed: Error | null = null
  /** Workers that died of a signal, by the shard that they worked on. */
  private readonly deaths = new Map<string, number>()
  private opened: string | null = null

  private constructor(private readonly options: PoolOptions) {
    this.slots = options.processes
    this.all = Array.from({ length: options.processes }, () => ({ worker: new Worker<Task, Result>(options) }))
    this.idle = [...this.all]
  }

  /** Opens all workers. Throws what the first of them fails with, EnvironmentError where they die time and again. */
  static async open<Task extends Pick<ShardTask, "input"> = ShardTask, Result = ShardResult>(
    options: PoolOptions,
  ): Promise<ProcessPool<Task, Result>> {
    const pool = new ProcessPool<Task, Result>(options)
    try {
      await Promise.all(pool.all.map((slot) => pool.open(slot)))
      pool.opened = await pool.all[0]!.worker.ready
      return pool
    } catch (error) {
      pool.fail(new Error("the pool is closed"))
      await Promise.all(pool.all.map(({ worker }) => worker.end()))
      throw error
    }
  }

  /** The identity of the models that the workers opened. */
  get identity(): string {
    assert(this.opened !== null, "a pool is given away when it is open")
    return this.opened
  }

  async run(task: Task, options: RunOptions = {}): Promise<Result> {
    options.signal?.throwIfAborted()
    const slot = await this.take()
    try {
      await this.open(slot, options.signal)
      return await slot.worker.run(task, options)
    } catch (error) {
      throw error instanceof WorkerDeath ? this.lost(task, error) : error
    } finally {
      this.give(slot)
    }
  }

  /** Ends the workers; what waits for one is rejected, and so is what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.fail(new Error("the pool is closed"))
    await Promise.all(this.all.map(({ worker }) => worker.end()))
  }

  /** The machine's fault, or somebody's, until it is always this shard. */
  private lost({ input }: Task, death: WorkerDeath): Error {
    const deaths = (this.deaths.get(input) ?? 0) + 1
    this.deaths.set(input, deaths)
    if (deaths < mostDeaths) return death
    return new UserError(`${input}: ${deaths} worker processes died as they worked on it: ${death.message}`)
  }

  private async take(): Promise<Slot<Task, Result>> {
    if (this.closed) throw this.closed
    return this.idle.pop() ?? new Promise((resolve, reject) => this.waiting.push({ resolve, reject }))
  }

  private give(slot: Slot<Task, Result>): void {
    const next = this.waiting.shift()
    if (next) next.resolve(slot)
    else this.idle.push(slot)
  }

  /** Waits for the worker, or for one in its place where it died. No shard is at fault where none can be opened. */
  private async open(slot: Slot<Task, Result>, signal?: AbortSignal): Promise<void> {
    for (;;) {
      if (this.closed) throw this.closed
      try {
        await orAborted(slot.worker.ready, signal)
        this.failedOpenings = 0
        if (slot.worker.isAlive) return
      } catch (error) {
        signal?.throwIfAborted()
        // What the first workers say of their models is for the user; what killed one may not come again.
        if (this.opened === null && error instanceof UserError && !(error instanceof WorkerDeath)) throw error
        if (++this.failedOpenings >= mostOpenings) throw this.fail(cannotOpen(error, this.opened !== null))
        await sleep(1000 * 2 ** (this.failedOpenings - 1), undefined, signal ? { signal } : {})
      }
      void slot.worker.end()
      if (!this.closed) slot.worker = new Worker<Task, Result>(this.options)
    }
  }

  private fail(error: Error): Error {
    this.closed ??= error
    for (const { reject } of this.waiting.splice(0)) reject(this.closed)
    return this.closed
  }
}

function cannotOpen(error: unknown, didBefore: boolean): EnvironmentError {
  if (error instanceof EnvironmentError && !(error instanceof WorkerDeath)) return error
  const message = `worker processes cannot open their models${didBefore ? " any more" : ""}: ${messageOf(error)}`
  return new EnvironmentError(message, "is there enough memory for all processes?", { cause: error })
}

/** Rejects as soon as the signal says so, whatever the promise does. */
async function orAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise
  const done = new AbortController()
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true, signal: done.signal })
  })
  signal.throwIfAborted()
  return Promise.race([promise, aborted]).finally(() => done.abort())
}

interface Pending<Result> {
  readonly resolve: (result: Result) => void
  readonly reject: (error: Error) => void
  readonly onProgress: ((samples: number) => void) | undefined
  readonly onActivity: (() => void) | undefined
}

/** A warning that this process has given already. */
const saidHere = { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" }

class Worker<Task, Result> {
  /** The identity of its models. */
  readonly ready: Promise<string>
  private readonly child: ChildProcess
  private pending: Pending<Result> | null = null
  private resolveReady: (identity: string) => void = () => {}
  private rejectReady: (error: Error) => void = () => {}
  private readonly ended: Promise<void>
  /** Why it takes no task any more. */
  private failure: Error | null = null

  constructor({ program, settings, environment }: PoolOptions) {
    this.ready = new Promise((resolve, reject) => {
      this.resolveReady = resolve
      this.rejectReady = reject
    })
    // Whoever runs the next task learns of it.
    this.ready.catch(() => {})
    const env = { ...process.env, ...saidHere, ...environment }
    this.child = fork(program, { serialization: "advanced", env })
    this.child.on("message", (message) => this.on(message as FromWorker<Result>))
    this.ended = new Promise((resolve) => {
      this.child.once("exit", () => resolve())
      // It could not be started.
      this.child.once("error", () => this.child.pid === undefined && resolve())
    })
    this.child.on("error", (error) => this.lose(error))
    this.child.on("exit", (code, signal) => {
      this.lose(endOf(code, signal))
    })
    this.child.on("disconnect", () => void this.end())
    this.send({ kind: "open", settings })
  }

  get isAlive(): boolean {
    return this.failure === null && this.child.connected
  }

  /** Rejects where the worker ends before it answers. */
  async run(task: Task, { signal, onProgress, onActivity }: RunOptions): Promise<Result> {
    await this.ready
    signal?.throwIfAborted()
    const abort = () => this.send({ kind: "abort" })
    signal?.addEventListener("abort", abort, { once: true })
    try {
      return await new Promise<Result>((resolve, reject) => {
        if (this.failure) return reject(this.failure)
        this.pending = { resolve, reject, onProgress, onActivity }
        this.send({ kind: "task", task })
      })
    } finally {
      this.pending = null
      signal?.removeEventListener("abort", abort)
    }
  }

  /** Resolves when the process is gone. */
  async end(): Promise<void> {
    // The worker ends when its channel does; one that computes without end is killed.
    if (this.child.connected) this.child.disconnect()
    const timer = setTimeout(() => this.child.kill("SIGKILL"), patience)
    await this.ended
    clearTimeout(timer)
  }

  private send(message: ToWorker<Task>): void {
    // A worker that is gone says so by its exit.
    if (this.child.connected) this.child.send(message, () => {})
  }

  private on(message: FromWorker<Result>): void {
    if (message.kind === "ready") this.resolveReady(message.identity)
    else if (message.kind === "progress") this.pending?.onProgress?.(message.samples)
    else if (message.kind === "activity") this.pending?.onActivity?.()
    else if (message.kind === "done") this.pending?.resolve(message.result)
    else this.reject(fromMessage(message.error))
  }

  private reject(error: Error): void {
    this.rejectReady(error)
    this.pending?.reject(error)
  }

  private lose(error: Error): void {
    this.failure ??= error
    this.reject(error)
  }
}

/** Where it was killed, as the system does where memory ends, the shard may be innocent. */
function endOf(code: number | null, signal: string | null): Error {
  if (signal === null) return new Error(`a worker process ended with exit code ${code}`)
  return new WorkerDeath(`a worker process ended with ${signal}`, "is there enough memory for all processes?")
}
