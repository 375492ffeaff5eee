/** An error on its way to another thread or process, which classes do not survive: plain data, for structured clones and JSON. */
import { EnvironmentError, UserError } from "./errors.ts"

export interface ErrorMessage {
  /** The class of `errors.ts` that it is of, or derived from; null: another error, which is known by its name. */
  readonly kind: keyof typeof classes | null
  readonly name: string
  readonly message: string
  readonly stack?: string
  readonly hint?: string
  /** The system's or Node's, such as ENOSPC. */
  readonly code?: string
  readonly cause?: ErrorMessage
}

/** The special ones before those that they are derived from. */
const classes = { EnvironmentError, UserError } as const

const kinds = Object.keys(classes) as readonly (keyof typeof classes)[]

/** Anything that was thrown. */
export function toMessage(thrown: unknown): ErrorMessage {
  if (!(thrown instanceof Error)) return { kind: null, name: "Error", message: String(thrown) }
  const { name, message, stack, cause } = thrown
  const { code } = thrown as { code?: unknown }
  return {
    kind: kinds.find((kind) => thrown instanceof classes[kind]) ?? null,
    name,
    message,
    ...(stack !== undefined && { stack }),
    ...(thrown instanceof UserError && thrown.hint !== undefined && { hint: thrown.hint }),
    ...(typeof code === "string" && { code }),
    ...(cause instanceof Error && { cause: toMessage(cause) }),
  }
}

/** The error again: of its class, with the hint, the stack and the causes that it had where it was thrown. */
export function fromMessage({ kind, name, message, stack, hint, code, cause }: ErrorMessage): Error {
  const options = cause && { cause: fromMessage(cause) }
  const error = kind ? new classes[kind](message, hint, options) : new Error(message, options)
  // As on every error, neither is listed where it is printed.
  const hidden = { name, stack, ...(code !== undefined && { code }) }
  for (const [key, value] of Object.entries(hidden))
    Object.defineProperty(error, key, { value, writable: true, configurable: true })
  return error
}
