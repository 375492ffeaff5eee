/** The page's end of a worker: calls that are answered, aborted, or refused because the worker is gone. */
import { fromMessage } from "../core/error-message.ts"
import { EnvironmentError, messageOf, UserError } from "../core/errors.ts"
import type { LoadProgress } from "../run/clip-host.ts"
import type { Arguments, CallName, Result, ToPage, ToWorker } from "./protocol.ts"

interface CallOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
  /** What is handed over with the arguments instead of copied. */
  readonly transfer?: Transferable[]
}

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (reason: unknown) => void
  readonly onProgress: CallOptions["onProgress"]
}

/** What an engine needs of a Worker. */
type WorkerLike = Pick<Worker, "postMessage" | "terminate" | "addEventListener">

export class Engine {
  private readonly pending = new Map<number, Pending>()
  private calls = 0
  /** Why there is no worker any more. */
  private end: Error | null = null

  constructor(private readonly worker: WorkerLike) {
    worker.addEventListener("message", ({ data }) => this.receive(data))
    worker.addEventListener("error", (event) => this.fail(workerFault(event)))
    worker.addEventListener("messageerror", () =>
      this.fail(new EnvironmentError("the worker sent what cannot be read")),
    )
  }

  /** Rejects with the worker's error, the signal's reason at once, or why the worker is gone. */
  call<Name extends CallName>(
    name: Name,
    args: Arguments<Name>,
    { signal, onProgress, transfer = [] }: CallOptions = {},
  ): Promise<Result<Name>> {
    if (this.end) return Promise.reject(this.end)
    if (signal?.aborted) return Promise.reject(signal.reason)
    const id = ++this.calls
    const fault = this.trySend({ kind: "call", id, name, args }, transfer)
    if (fault) return Promise.reject(fault)
    const answer = new Promise<unknown>((resolve, reject) => this.pending.set(id, { resolve, reject, onProgress }))
    const onAbort = () => {
      this.trySend({ kind: "abort", id })
      this.settle(id)?.reject(signal!.reason)
    }
    signal?.addEventListener("abort", onAbort)
    return answer.finally(() => signal?.removeEventListener("abort", onAbort)) as Promise<Result<Name>>
  }

  /** Ends the worker; what is under way, and every later call, is rejected with the reason. Twice is as once. */
  fail(reason: Error): void {
    if (this.end) return
    this.end = reason
    this.worker.terminate()
    for (const id of [...this.pending.keys()]) this.settle(id)?.reject(reason)
  }

  /** Functions and the like cannot be sent. Null where it was. */
  private trySend(message: ToWorker, transfer: Transferable[] = []): UserError | null {
    try {
      this.worker.postMessage(message, transfer)
      return null
    } catch (error) {
      const problem = `what was given cannot be sent to the worker (${messageOf(error)})`
      return new UserError(problem, "give texts, numbers, bytes, files and pictures", { cause: error })
    }
  }

  private receive(message: ToPage): void {
    switch (message.kind) {
      case "result":
        this.settle(message.id)?.resolve(message.value)
        break
      case "error":
        this.settle(message.id)?.reject(fromMessage(message.error))
        break
      case "progress":
        this.pending.get(message.id)?.onProgress?.(message.progress)
        break
      case "lost":
        this.fail(deviceLost(message.reason))
        break
      default:
        message satisfies never
    }
  }

  private settle(id: number): Pending | undefined {
    const pending = this.pending.get(id)
    this.pending.delete(id)
    return pending
  }
}

function deviceLost(reason: string): EnvironmentError {
  return new EnvironmentError(
    `the graphics device was lost (${reason}), and the model with it`,
    'load the model again; device: "wasm" does without the graphics device',
  )
}

/** An event without a message is of a script that could not be loaded. */
function workerFault({ message }: Pick<ErrorEvent, "message">): EnvironmentError {
  return message
    ? new EnvironmentError(`the worker that computes has failed: ${message}`, "load the model again")
    : new EnvironmentError(
        "the worker that computes could not be started: its script was not found, or may not be run",
        "see the network and the console; bundlers that do not know `new Worker(new URL(...))` need the option worker, and a Content-Security-Policy needs worker-src 'self'",
      )
}
