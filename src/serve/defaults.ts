/** What a server does where nothing else is said. Apart from what it needs, so that a command line can name them at once. */
import { defaultMaxPixels } from "../host/image/images.ts"
import type { ModelsOptions } from "./engine/models.ts"
import { cacheBytesDefault } from "./engine/result-cache.ts"
import type { Limits } from "./http/context.ts"
import { lifetimeDefaults } from "./processes/lasting.ts"

export const serveDefaults = { host: "127.0.0.1", port: 8000 } as const

export const engineDefaults: ModelsOptions = {
  ...{ mostWaiting: 1024, textBatch: 32, maxDelay: 0, lifetime: lifetimeDefaults },
  ...{ idleSeconds: null, cacheBytes: cacheBytesDefault },
}

const mebibyte = 2 ** 20
export const limitDefaults: Limits = {
  ...{ bodyBytes: 64 * mebibyte, bodiesBytes: 512 * mebibyte },
  ...{ parts: 2048, pixels: defaultMaxPixels, seconds: 60 },
}
