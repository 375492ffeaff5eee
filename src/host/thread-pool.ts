/** Threads that answer requests, for all that is computed beside the event loop: both of its ends, the pool's and the thread's. */
import { parentPort, type TransferListItem, Worker, workerData } from "node:worker_threads"
import { type ErrorMessage, fromMessage, toMessage } from "../core/error-message.ts"
import { messageOf } from "../core/errors.ts"
import { workerFile } from "./worker-file.ts"

export interface ThreadPoolOptions<Request, Answer> {
  /** The program of a thread, which calls `serveThread`: the arguments of `workerFile`. */
  readonly program: readonly [module: string, name: string]
  readonly threads: number
  /** What the requests are about, for messages: "views". */
  readonly name: string
  /** For the threads; shared memory is shared. */
  readonly settings?: unknown
  /** Requests that a thread has at a time; the default is 2: one at work, and one that waits for it. */
  readonly inFlight?: number
  /** Answers in this thread where the pool has none. */
  readonly here?: (request: Request) => Promise<Answer>
  /** The error of requests whose thread ended before it answered. */
  readonly ended?: (why: string, cause: unknown) => Error
}

interface RequestOptions {
  /** Memory that is handed over and not copied. */
  readonly transfer?: readonly TransferListItem[]
  /** The number of the thread that answers; absent: the one that has the least to do. */
  readonly thread?: number
}

interface Job<Request, Answer> extends RequestOptions {
  readonly request: Request
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

interface Thread<Request, Answer> {
  readonly worker: Worker
  readonly jobs: Map<number, Job<Request, Answer>>
  /** It takes nothing more: it ran out of memory, or was ended. */
  isLost: boolean
}

export class ThreadPool<Request, Answer> implements AsyncDisposable {
  private readonly threads: Thread<Request, Answer>[]
  private waiting: Job<Request, Answer>[] = []
  /** Its only number is 1 from when the pool is closed on. */
  private readonly stop = new Int32Array(new SharedArrayBuffer(4))
  private nextId = 0
  private closed: Error | null = null

  constructor(private readonly options: ThreadPoolOptions<Request, Answer>) {
    this.threads = Array.from({ length: options.threads }, () => this.startThread())
  }

  /**
   * Sent, and so copied, before this returns, unless all threads are busy. Throws what the thread threw, as an error of
   * the same class, and `ended` where the thread ended; another one takes the place of that.
   */
  async ask(request: Request, options: RequestOptions = {}): Promise<Answer> {
    if (this.closed) throw this.closed
    if (this.threads.length === 0) return this.options.here!(request)
    return new Promise((resolve, reject) => {
      this.waiting.push({ request, ...options, resolve, reject })
      this.assign()
    })
  }

  /** Ends the threads, after the request that each is at; what has no answer yet is rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.closed ??= new Error(`the pool of ${this.options.name} is closed`)
    for (const { reject } of this.waiting.splice(0)) reject(this.closed)
    Atomics.store(this.stop, 0, 1)
    await Promise.all(this.threads.map((thread) => this.end(thread)))
  }

  private startThread(): Thread<Request, Answer> {
    const { program, settings } = this.options
    const workerData: ThreadData = { settings, stop: this.stop }
    const worker = new Worker(workerFile(...program), { workerData })
    const thread: Thread<Request, Answer> = { worker, jobs: new Map(), isLost: false }
    worker.on("message", (reply: Reply<Answer>) => this.finish(thread, reply))
    worker.on("error", (error) => this.lose(thread, messageOf(error), error))
    // An answer that does not arrive would be waited for without end.
    worker.on("messageerror", (error) => this.lose(thread, messageOf(error), error))
    worker.on("exit", (code) => this.lose(thread, `exit code ${code}`))
    // Idle threads do not keep the process alive.
    worker.unref()
    return thread
  }

  /** Sends what waits, in its order, as far as threads take more. */
  private assign(): void {
    const { inFlight = 2 } = this.options
    this.waiting = this.waiting.filter((job) => {
      const thread = job.thread === undefined ? this.leastBusy() : this.threads[job.thread]!
      if (thread.jobs.size >= inFlight) return true
      this.send(thread, job)
      return false
    })
  }

  private leastBusy(): Thread<Request, Answer> {
    return this.threads.reduce((least, next) => (next.jobs.size < least.jobs.size ? next : least))
  }

  private replace(lost: Thread<Request, Answer>): Thread<Request, Answer> {
    const thread = this.startThread()
    this.threads[this.threads.indexOf(lost)] = thread
    return thread
  }

  private send(thread: Thread<Request, Answer>, job: Job<Request, Answer>): void {
    try {
      const { worker, jobs } = thread.isLost ? this.replace(thread) : thread
      const message: Asked<Request> = { id: this.nextId++, request: job.request }
      worker.postMessage(message, job.transfer)
      if (jobs.size === 0) worker.ref()
      jobs.set(message.id, job)
    } catch (error) {
      // It cannot be copied, or there is no thread.
      job.reject(error)
    }
  }

  private finish({ worker, jobs }: Thread<Request, Answer>, { id, answer, error }: Reply<Answer>): void {
    const job = jobs.get(id)
    jobs.delete(id)
    // Who closes the pool waits for its threads.
    if (jobs.size === 0 && !this.closed) worker.unref()
    if (error) job?.reject(fromMessage(error))
    else job?.resolve(answer!)
    this.assign()
  }

  private lose(thread: Thread<Request, Answer>, why: string, cause?: unknown): void {
    if (thread.isLost) return
    const { name, ended = (why, cause) => new Error(`a thread of the pool of ${name} ended: ${why}`, { cause }) } =
      this.options
    this.rejectAll(thread, ended(why, cause))
    thread.worker.postMessage(null)
    this.assign()
  }

  private rejectAll(thread: Thread<Request, Answer>, error: Error): void {
    thread.isLost = true
    for (const { reject } of thread.jobs.values()) reject(error)
    thread.jobs.clear()
  }

  /** Asked to, and not terminated: a thread that is terminated within native code takes the process along. */
  private async end(thread: Thread<Request, Answer>): Promise<void> {
    this.rejectAll(thread, this.closed!)
    const { worker } = thread
    if (worker.threadId === -1) return
    worker.ref()
    worker.postMessage(null)
    await new Promise((resolve) => worker.once("exit", resolve))
  }
}

// --------------------------------------------------------------------------------------------------- in a thread

interface ThreadData {
  readonly settings: unknown
  readonly stop: Int32Array
}

/** Null in place of one: the thread ends. */
interface Asked<Request> {
  readonly id: number
  readonly request: Request
}

interface Reply<Answer> {
  readonly id: number
  readonly answer?: Answer
  readonly error?: ErrorMessage
}

interface ThreadWork<Request, Answer> extends Partial<Disposable> {
  /** Requests come as they are sent, also while one is under way. */
  answer(request: Request): Promise<Answer>
  /** The memory of an answer that is handed over and not copied. */
  transfer?(answer: Answer): TransferListItem[]
}

/**
 * The whole of a thread's program: answers what the pool asks, until it is closed.
 *
 * @param open makes what answers, of the pool's settings; `isStopped` says whether the pool was closed, so that what is under
 *   way can be left
 */
export function serveThread<Settings, Request, Answer>(
  open: (settings: Settings, isStopped: () => boolean) => ThreadWork<Request, Answer>,
): void {
  const port = parentPort!
  const { settings, stop } = workerData as ThreadData
  const isStopped = () => Atomics.load(stop, 0) === 1
  // What it throws is the answer to every request.
  const opened = (async () => open(settings as Settings, isStopped))()
  opened.catch(() => {})
  const underWay = new Set<Promise<void>>()
  const answer = async ({ id, request }: Asked<Request>) => {
    try {
      const work = await opened
      const answer = await work.answer(request)
      port.postMessage({ id, answer } satisfies Reply<Answer>, work.transfer?.(answer))
    } catch (error) {
      port.postMessage({ id, error: toMessage(error) } satisfies Reply<Answer>)
    }
  }
  const end = async () => {
    await Promise.all(underWay)
    await opened.then((work) => work[Symbol.dispose]?.()).catch(() => {})
    port.close()
  }
  port.on("message", (asked: Asked<Request> | null) => {
    if (!asked) return void end()
    if (isStopped()) return
    const answered = answer(asked).finally(() => underWay.delete(answered))
    underWay.add(answered)
  })
}
