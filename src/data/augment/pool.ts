/**
 * Threads that decode and augment while encoders work. What a view looks like does not depend on their number; with no
 * threads, the caller's does it.
 */
import { Worker } from "node:worker_threads"
import { UserError } from "../../core/errors.ts"
import { workerFile } from "../../host/worker-file.ts"
import { type MadeViews, makeViews, type ViewRequest } from "./views.ts"
import type { WorkerFailure, WorkerReply, WorkerRequest } from "./worker.ts"

/** One at work, and one that waits for it. */
const REQUESTS_PER_THREAD = 2

interface Job {
  readonly request: ViewRequest
  readonly resolve: (made: MadeViews) => void
  readonly reject: (error: unknown) => void
}

interface Thread {
  readonly worker: Worker
  readonly jobs: Map<number, Job>
  /** It takes nothing more: it ran out of memory, or was ended. */
  isLost: boolean
}

export class ViewPool implements AsyncDisposable {
  private readonly threads: Thread[]
  private readonly waiting: Job[] = []
  private readonly spares: Float32Array<ArrayBuffer>[] = []
  private nextId = 0
  private closed: Error | null = null

  constructor(threads: number) {
    this.threads = Array.from({ length: threads }, () => this.startThread())
  }

  /** Throws UserError where the picture is at fault, Error where its thread ended; another one takes the place of that. */
  make(request: ViewRequest): Promise<MadeViews> {
    if (this.closed) return Promise.reject(this.closed)
    if (this.threads.length === 0) return makeViews(request, this.spares)
    return new Promise((resolve, reject) => {
      this.waiting.push({ request, resolve, reject })
      this.assign()
    })
  }

  /** Takes arrays back that nobody reads any more, to be filled with other views. */
  recycle({ pixels }: Pick<MadeViews, "pixels">): void {
    const most = Math.max(this.threads.length, 1) * REQUESTS_PER_THREAD * 2
    for (const array of new Set(pixels)) if (this.spares.length < most) this.spares.push(array)
  }

  /** Ends the threads; what is under way is rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.closed ??= new Error("the pool of views is closed")
    for (const { reject } of this.waiting.splice(0)) reject(this.closed)
    for (const thread of this.threads) this.lose(thread, this.closed)
    await Promise.all(this.threads.map(({ worker }) => worker.terminate()))
  }

  private startThread(): Thread {
    const thread: Thread = { worker: new Worker(workerFile(import.meta.url, "worker")), jobs: new Map(), isLost: false }
    thread.worker.on("message", (reply: WorkerReply) => this.finish(thread, reply))
    thread.worker.on("error", (error) => this.lose(thread, error))
    // An answer that does not arrive would be waited for without end.
    thread.worker.on("messageerror", (error) => this.lose(thread, error))
    thread.worker.on("exit", () => this.lose(thread, new Error("a thread of the pool of views ended")))
    // Idle threads do not keep the process alive.
    thread.worker.unref()
    return thread
  }

  private assign(): void {
    while (this.waiting.length > 0) {
      const thread = this.threads.reduce((least, next) => (next.jobs.size < least.jobs.size ? next : least))
      if (thread.jobs.size >= REQUESTS_PER_THREAD) return
      this.send(thread.isLost ? this.replace(thread) : thread, this.waiting.shift()!)
    }
  }

  private replace(lost: Thread): Thread {
    const thread = this.startThread()
    this.threads[this.threads.indexOf(lost)] = thread
    return thread
  }

  private send({ worker, jobs }: Thread, job: Job): void {
    const id = this.nextId++
    if (jobs.size === 0) worker.ref()
    jobs.set(id, job)
    // A view of a larger buffer would be sent with all of it. (A Buffer's own slice() copies nothing.)
    const bytes = new Uint8Array(job.request.bytes)
    const spares = this.spares.splice(0, job.request.targets.length)
    const message: WorkerRequest = { id, request: { ...job.request, bytes }, spares }
    worker.postMessage(message, [bytes.buffer, ...spares.map(({ buffer }) => buffer)])
  }

  private finish(thread: Thread, reply: WorkerReply): void {
    const job = thread.jobs.get(reply.id)
    thread.jobs.delete(reply.id)
    if (thread.jobs.size === 0) thread.worker.unref()
    if ("made" in reply) job?.resolve(reply.made)
    else job?.reject(toError(reply.failure))
    this.assign()
  }

  private lose(thread: Thread, error: Error): void {
    if (thread.isLost) return
    thread.isLost = true
    const jobs = [...thread.jobs.values()]
    thread.jobs.clear()
    void thread.worker.terminate()
    for (const { reject } of jobs) reject(error)
    this.assign()
  }
}

function toError({ message, hint, isUserError }: WorkerFailure): Error {
  return isUserError ? new UserError(message, hint) : new Error(message)
}
