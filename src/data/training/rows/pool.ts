/** Threads that fill batches in shared memory. What a batch holds does not depend on their number. */
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import { EnvironmentError, UserError } from "../../../core/errors.ts"
import type { Tokenizer } from "../../../core/text/tokenizer.ts"
import { workerFile } from "../../../host/worker-file.ts"
import { type Filled, type FillSettings, RowFiller, type RowRequest } from "./fill.ts"
import type { Slot } from "./slot.ts"
import type { FillReply, FillRequest, WorkerSettings } from "./worker.ts"

interface Job {
  readonly resolve: (filled: Filled) => void
  readonly reject: (error: unknown) => void
}

const nothing: Filled = { failures: [], cutOff: [] }

interface Thread {
  readonly worker: Worker
  readonly jobs: Map<number, Job>
}

export class FillPool implements AsyncDisposable {
  private readonly threads: readonly Thread[]
  /** With no threads, the caller's does it. */
  private readonly here: RowFiller | null
  private readonly stop = new Int32Array(new SharedArrayBuffer(4))
  private nextId = 0
  private closed: Error | null = null

  constructor(
    threads: number,
    private readonly settings: FillSettings,
    tokenizer: Tokenizer,
  ) {
    const share = { ...settings, cacheBytes: settings.cacheBytes / Math.max(threads, 1) }
    this.here = threads === 0 ? new RowFiller(settings, tokenizer) : null
    this.threads = Array.from({ length: threads }, () => this.startThread(share))
  }

  /** Fills rows of the slot. */
  async fill(slot: Slot, requests: readonly RowRequest[]): Promise<Filled> {
    if (this.closed) throw this.closed
    if (this.here) return this.here.fill(slot, requests)
    const parts = this.threads.map((thread, i) => {
      const own = requests.filter((request) => this.threadOf(request) === i)
      return own.length === 0 ? nothing : this.send(thread, slot, own)
    })
    const filled = await Promise.all(parts)
    return {
      failures: filled.flatMap(({ failures }) => failures),
      cutOff: filled.flatMap(({ cutOff }) => cutOff),
    }
  }

  /** Ends the threads; what is under way is rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.fail(new Error("the training data are closed"))
    this.here?.[Symbol.dispose]()
    Atomics.store(this.stop, 0, 1)
    await Promise.all(this.threads.map(endThread))
  }

  /** Where samples are kept decoded, each by one thread; else even shares. */
  private threadOf({ id, row }: RowRequest): number {
    return (this.settings.cacheBytes > 0 ? id : row) % this.threads.length
  }

  private startThread(settings: FillSettings): Thread {
    const worker = new Worker(workerFile(import.meta.url, "worker"), {
      workerData: { settings, stop: this.stop } satisfies WorkerSettings,
    })
    const thread: Thread = { worker, jobs: new Map() }
    worker.on("message", (reply: FillReply) => this.finish(thread, reply))
    worker.on("error", (error) => this.fail(error))
    // An answer that does not arrive would be waited for without end.
    worker.on("messageerror", (error) => this.fail(error))
    worker.on("exit", () => this.fail(new Error("a thread of the training data ended")))
    // Idle threads do not keep the process alive.
    worker.unref()
    return thread
  }

  private send({ worker, jobs }: Thread, slot: Slot, requests: readonly RowRequest[]): Promise<Filled> {
    const id = this.nextId++
    if (jobs.size === 0) worker.ref()
    return new Promise((resolve, reject) => {
      jobs.set(id, { resolve, reject })
      worker.postMessage({ id, slot, requests } satisfies FillRequest)
    })
  }

  private finish({ worker, jobs }: Thread, reply: FillReply): void {
    const job = jobs.get(reply.id)
    jobs.delete(reply.id)
    // Who closes the data waits for the threads.
    if (jobs.size === 0 && !this.closed) worker.unref()
    if ("filled" in reply) job?.resolve(reply.filled)
    else job?.reject(errorOf(reply.error))
  }

  private fail(error: Error): void {
    this.closed ??= error
    for (const { jobs } of this.threads) {
      for (const { reject } of jobs.values()) reject(this.closed)
      jobs.clear()
    }
  }
}

function errorOf({ message, user }: Extract<FillReply, { error: unknown }>["error"]): Error {
  if (!user) return new Error(message)
  return new (user.isOfEnvironment ? EnvironmentError : UserError)(message, user.hint)
}

/** After the row it is at. */
async function endThread({ worker }: Thread): Promise<void> {
  if (worker.threadId === -1) return
  const ended = once(worker, "exit")
  worker.ref()
  worker.postMessage(null)
  await ended
}
