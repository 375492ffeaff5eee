import { printable } from "./printable.ts"

/**
 * The error that a user can act on: bad input, a missing file, a machine without a compiler.
 * The command line prints its message as one line and exits with 1; every other error keeps its stack.
 */
export class UserError extends Error {
  override readonly name = "UserError"

  /**
   * @param message what is wrong, where, and what was expected, in one line
   * @param hint what to do about it, in one line
   */
  constructor(
    message: string,
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}

/**
 * The machine or its network is at fault and not the input: a full disk, no permission, missing credentials, a server
 * that does not answer. The same work may succeed later or elsewhere, so its input is not counted as bad.
 */
export class EnvironmentError extends UserError {}

/** Whether the input is at fault, so that the same work fails again on any machine. */
export function isInputError(error: unknown): error is UserError {
  return error instanceof UserError && !(error instanceof EnvironmentError)
}

/** For `catch`: what was thrown, where a user can act on it; throws everything else again. */
export function asUserError(error: unknown): UserError {
  if (error instanceof UserError) return error
  throw error
}

/** States an invariant of our own code. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant: ${message}`)
}

/** A text of unknown origin for a message: without control characters or line breaks, cut where it is long. */
export function oneLine(text: string, longest = 100): string {
  return printable(cut(text, longest))
}

/** The same in double quotes. */
export function quoted(text: string): string {
  return printable(JSON.stringify(cut(text, 100)))
}

/** Cuts never fall between the two halves of a character. */
function cut(text: string, longest: number): string {
  if (text.length <= longest) return text
  return `${text.slice(0, longest).replace(/[\ud800-\udbff]$/, "")}...`
}

/** What an AbortSignal ends work with. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError"
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
