/** A thread of the pool (`pool.ts`). */
import { serveThread } from "../../host/thread-pool.ts"
import type { SpareRequest } from "./pool.ts"
import { type MadeViews, makeViews } from "./views.ts"

serveThread(() => ({
  answer: ({ request, spares }: SpareRequest) => makeViews(request, spares),
  transfer: ({ pixels }: MadeViews) => [...new Set(pixels)].map(({ buffer }) => buffer),
}))
