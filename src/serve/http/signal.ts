/** When nobody waits for an answer any more: the client went away, or its time is over. */
import { setMaxListeners } from "node:events"
import type { ServerResponse } from "node:http"
import type { Http2ServerResponse } from "node:http2"
import { RequestError } from "./errors.ts"

/** Aborts with a RequestError. */
export function signalOf(answer: ServerResponse | Http2ServerResponse, seconds: number): AbortSignal {
  const stop = new AbortController()
  // A request with many pictures waits for many.
  setMaxListeners(0, stop.signal)
  const late = () => stop.abort(new RequestError("timeout", `the request took longer than ${seconds} s`))
  const timer = setTimeout(late, seconds * 1000)
  answer.once("close", () => {
    clearTimeout(timer)
    if (!answer.writableFinished) stop.abort(new RequestError("gone", "the client went away"))
  })
  return stop.signal
}
