/** What a command gets besides its arguments. */
export interface CommandContext {
  /** The words of the command line, without the program's name. */
  readonly argv: readonly string[]
  /**
   * From this call on Ctrl-C aborts the signal, and only a second one ends the process: finish the step and save. Nor does
   * the command end where nobody reads what it prints any more.
   *
   * @param what the command does then, for the message: "stopping after the current step"
   */
  abortOnInterrupt(what?: string): AbortSignal
}
