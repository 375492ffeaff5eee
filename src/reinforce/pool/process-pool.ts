/**
 * Shards in worker processes, one at a time in each. Processes, because ONNX Runtime and libtorch keep state and threads
 * of their own for a whole process, and because what takes one down leaves the others and this one at work.
 */
import { type ChildProcess, fork } from "node:child_process"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import type { RunOptions, ShardResult, ShardRunner, ShardTask } from "../runner.ts"
import type { Failure, FromWorker, ToWorker } from "./messages.ts"

export interface PoolOptions {
  /** The program of a worker: a JavaScript file that calls `serveShards`. */
  readonly program: string
  /** For that program. */
  readonly settings: unknown
  readonly processes: number
  /** Of the workers, beside this process's own. */
  readonly environment?: Readonly<Record<string, string>>
}

export class ProcessPool implements ShardRunner {
  readonly slots: number
  private readonly idle: Worker[] = []
  private readonly waiting: ((worker: Worker) => void)[] = []
  private closed = false

  private constructor(
    private readonly options: PoolOptions,
    workers: readonly Worker[],
    /** Of the models that the workers opened. */
    readonly identity: string,
  ) {
    this.slots = options.processes
    this.idle.push(...workers)
  }

  /** Opens all workers. Throws what the first of them fails with. */
  static async open(options: PoolOptions): Promise<ProcessPool> {
    const workers = Array.from({ length: options.processes }, () => new Worker(options))
    try {
      const [identity] = await Promise.all(workers.map((worker) => worker.ready))
      return new ProcessPool(options, workers, identity!)
    } catch (error) {
      await Promise.all(workers.map((worker) => worker.end()))
      throw error
    }
  }

  async run(task: ShardTask, options: RunOptions = {}): Promise<ShardResult> {
    options.signal?.throwIfAborted()
    const worker = await this.take()
    try {
      return await worker.run(task, options)
    } finally {
      this.give(worker.isAlive ? worker : new Worker(this.options))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed = true
    await Promise.all(this.idle.map((worker) => worker.end()))
  }

  private take(): Promise<Worker> {
    const worker = this.idle.pop()
    return worker ? Promise.resolve(worker) : new Promise((resolve) => this.waiting.push(resolve))
  }

  private give(worker: Worker): void {
    const next = this.waiting.shift()
    if (next) next(worker)
    else if (this.closed) void worker.end()
    else this.idle.push(worker)
  }
}

interface Pending {
  readonly resolve: (result: ShardResult) => void
  readonly reject: (error: Error) => void
  readonly onProgress: ((samples: number) => void) | undefined
}

class Worker {
  /** The identity of its models. */
  readonly ready: Promise<string>
  private readonly child: ChildProcess
  private pending: Pending | null = null
  private resolveReady: (identity: string) => void = () => {}
  private rejectReady: (error: Error) => void = () => {}

  constructor({ program, settings, environment }: PoolOptions) {
    this.ready = new Promise((resolve, reject) => {
      this.resolveReady = resolve
      this.rejectReady = reject
    })
    // Whoever runs the next task learns of it.
    this.ready.catch(() => {})
    this.child = fork(program, { serialization: "advanced", env: { ...process.env, ...environment } })
    this.child.on("message", (message) => this.on(message as FromWorker))
    this.child.on("error", (error) => this.fail(error))
    this.child.on("exit", (code, signal) => {
      // It was killed, or ran out of memory: no UserError, as the shard may be innocent.
      this.fail(new Error(`a worker process ended with ${signal ?? `exit code ${code}`}`))
    })
    this.send({ kind: "open", settings })
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null && this.child.connected
  }

  async run(task: ShardTask, { signal, onProgress }: RunOptions): Promise<ShardResult> {
    await this.ready
    const abort = () => this.send({ kind: "abort" })
    signal?.addEventListener("abort", abort, { once: true })
    try {
      return await new Promise<ShardResult>((resolve, reject) => {
        this.pending = { resolve, reject, onProgress }
        this.send({ kind: "task", task })
      })
    } finally {
      this.pending = null
      signal?.removeEventListener("abort", abort)
    }
  }

  /** Resolves when the process is gone. */
  end(): Promise<void> {
    if (!this.isAlive) return Promise.resolve()
    return new Promise((resolve) => {
      this.child.once("exit", () => resolve())
      // The worker ends when its channel does.
      this.child.disconnect()
    })
  }

  private send(message: ToWorker): void {
    // A worker that is gone says so by its exit.
    if (this.child.connected) this.child.send(message, () => {})
  }

  private on(message: FromWorker): void {
    if (message.kind === "ready") this.resolveReady(message.identity)
    else if (message.kind === "progress") this.pending?.onProgress?.(message.samples)
    else if (message.kind === "done") this.pending?.resolve(message.result)
    else this.fail(errorOf(message.failure))
  }

  private fail(error: Error): void {
    this.rejectReady(error)
    this.pending?.reject(error)
  }
}

function errorOf({ kind, message, hint }: Failure): Error {
  if (kind === "fault") return new Error(message)
  return new (kind === "environment" ? EnvironmentError : UserError)(message, hint ?? undefined)
}
