/** What a request is refused with. Each protocol puts it into its own shape. */
import { UserError } from "../../core/errors.ts"
import { ContentError } from "../engine/model-work.ts"
import { UnknownModel } from "../engine/models.ts"
import { QueueFull } from "../engine/task-queue.ts"
import { FatalTask } from "../processes/lasting.ts"

export const statuses = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  notFound: 404,
  method: 405,
  slow: 408,
  precondition: 412,
  tooLarge: 413,
  mediaType: 415,
  range: 416,
  unsupported: 422,
  busy: 429,
  headers: 431,
  /** Nobody reads the answer: for logs. */
  gone: 499,
  internal: 500,
  unavailable: 503,
  timeout: 504,
} as const

export type ErrorKind = keyof typeof statuses

export class RequestError extends Error {
  /**
   * @param message what is wrong, where, and what was expected, in one line; without a path of the server
   * @param parameter the field of the request that is at fault
   * @param retryAfter seconds
   * @param headers of the answer
   */
  constructor(
    readonly kind: ErrorKind,
    message: string,
    readonly parameter: string | null = null,
    readonly retryAfter: number | null = null,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message)
  }

  get status() {
    return statuses[this.kind]
  }
}

/**
 * What a client is told. A fault of ours is told without its message, which may name what is on this machine.
 *
 * @param content the field of the request that holds texts and pictures
 */
export function requestError(error: unknown, content: string | null = null): RequestError {
  if (error instanceof RequestError) return error
  if (error instanceof QueueFull)
    return new RequestError("busy", `${error.message}; ask again in ${error.seconds} s`, null, error.seconds)
  if (error instanceof FatalTask)
    return new RequestError("unsupported", "a process ended each time it worked on this: leave it out", content)
  if (error instanceof UnknownModel) return new RequestError("notFound", withHint(error), "model")
  if (error instanceof ContentError) return new RequestError("invalid", withHint(error), content)
  // A model that was there when the server was started may be gone now.
  if (error instanceof UserError)
    return new RequestError("unavailable", "the model cannot compute now; the server's log says why")
  return new RequestError("internal", "an unexpected error in mobileclip; its log says more")
}

function withHint({ message, hint }: UserError): string {
  return hint === undefined ? message : `${message}; ${hint}`
}
