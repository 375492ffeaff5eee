/** What a command gets besides its arguments. */
export interface CommandContext {
  /** The words of the command line, without the program's name. */
  readonly argv: readonly string[]
  /**
   * From this call on, the first Ctrl-C aborts the signal, so that the command can finish its step and save; a second one ends
   * the process. Nor does the process end any more when the reader of its output does.
   *
   * @param what what the command does then, for the message: "stopping after the current step"
   */
  abortOnInterrupt(what?: string): AbortSignal
}
