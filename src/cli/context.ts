/** What a command gets besides its arguments. */
export interface CommandContext {
  /**
   * From this call on Ctrl-C aborts the signal, and only a second one ends the process: finish the step and save. Nor does
   * the command end where nobody reads what it prints any more.
   */
  abortOnInterrupt(): AbortSignal
}
