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

/** States an invariant of our own code. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant: ${message}`)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
