/** HEIC pictures decoded beside the event loop, which would stand still for half a second for each: in threads that are started for the first one. */
import type { Image8 } from "../../../core/image/pixels.ts"
import { usableProcessors } from "../../processors.ts"
import { ThreadPool } from "../../thread-pool.ts"
import type { HeifOptions } from "./decode-heif.ts"

export interface HeifRequest extends HeifOptions {
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Each has a decoder of its own, with up to 128 MiB. */
const mostThreads = 4

let pool: ThreadPool<HeifRequest, Image8> | null = null

/** Throws UserError as `decodeHeifHere` does. */
export function decodeHeifBeside(bytes: Uint8Array, options: HeifOptions): Promise<Image8> {
  pool ??= new ThreadPool<HeifRequest, Image8>({
    program: [import.meta.url, "heif-worker"],
    name: "HEIC pictures",
    threads: Math.min(usableProcessors().count, mostThreads),
  })
  // A view of a larger buffer would be sent with all of it.
  const copy = new Uint8Array(bytes)
  return pool.ask({ ...options, bytes: copy }, { transfer: [copy.buffer] })
}
