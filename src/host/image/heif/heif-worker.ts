/** A thread of the pool (`heif-threads.ts`). */
import type { Image8 } from "../../../core/image/pixels.ts"
import { serveThread } from "../../thread-pool.ts"
import { decodeHeifHere } from "./decode-heif.ts"
import type { HeifRequest } from "./heif-threads.ts"

serveThread(() => ({
  answer: ({ bytes, ...options }: HeifRequest): Promise<Image8> => decodeHeifHere(bytes, options),
  transfer: ({ data }: Image8) => [data.buffer as ArrayBuffer],
}))
