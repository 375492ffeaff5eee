/**
 * Threads that decode and augment while encoders work. What a view looks like does not depend on their number; with no
 * threads, the caller's does it.
 */
import { ThreadPool } from "../../host/thread-pool.ts"
import { type MadeViews, makeViews, type ViewRequest } from "./views.ts"

export interface SpareRequest {
  readonly request: ViewRequest
  /** Arrays that may be written over. */
  readonly spares: Float32Array<ArrayBuffer>[]
}

export class ViewPool implements AsyncDisposable {
  private readonly pool: ThreadPool<SpareRequest, MadeViews>
  private readonly spares: Float32Array<ArrayBuffer>[] = []
  private readonly mostSpares: number

  constructor(private readonly threads: number) {
    this.mostSpares = 4 * Math.max(threads, 1)
    this.pool = new ThreadPool({
      program: [import.meta.url, "worker"],
      name: "views",
      threads,
      // A caller that computes meanwhile sends nothing for a while.
      inFlight: 8,
      here: ({ request, spares }) => makeViews(request, spares),
    })
  }

  /** Throws UserError where the picture is at fault, Error where its thread ended; another one takes the place of that. */
  make(request: ViewRequest): Promise<MadeViews> {
    if (this.threads === 0) return this.pool.ask({ request, spares: this.spares })
    // A view of a larger buffer would be sent with all of it. (A Buffer's own slice() copies nothing.)
    const bytes = new Uint8Array(request.bytes)
    const spares = this.spares.splice(0, request.targets.length)
    const transfer = [bytes.buffer, ...spares.map(({ buffer }) => buffer)]
    return this.pool.ask({ request: { ...request, bytes }, spares }, { transfer })
  }

  /** Takes arrays back that nobody reads any more, to be filled with other views. */
  recycle({ pixels }: Pick<MadeViews, "pixels">): void {
    for (const array of new Set(pixels)) if (this.spares.length < this.mostSpares) this.spares.push(array)
  }

  /** Ends the threads; what is under way is rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
  }
}
