import { commandLine } from "../core/shell-quote.ts"

/** Lines that say how an interrupted command is gone on with; null where there is nothing to say. */
export type GoOn = () => string | null | Promise<string | null>

/** What a command's work is for: files, results that are printed as they come, or answers, which a signal ends as it is meant to. */
export type Purpose = "saving" | "printing" | "serving"

/** What a command gets besides its arguments. */
export interface CommandContext {
  /** The words of the command line, without the program's name. */
  readonly argv: readonly string[]
  /**
   * Standard output as it is: for bytes that a command made itself, such as pictures for a terminal, and for names that another
   * program reads (`-0`). Everything else goes through commander's `writeOut`, where control characters become escapes.
   */
  writeUnchanged(text: string): void
  /**
   * From this call on, the first Ctrl-C aborts the signal, so that the command can finish its step and save; a second one ends
   * the process. Nor does the process end any more when the reader of its output does, unless its purpose is printing.
   *
   * @param what what the command does then, for the message: "stopping after the current step"
   * @param goOn what is printed at the end of an interrupted command: how to go on; null: nothing
   */
  abortOnInterrupt(what?: string, goOn?: GoOn, purpose?: Purpose): AbortSignal
}

/** Where the same command goes on. A token on the command line is not repeated: it would stay in a terminal's history. */
export function sameCommand(argv: readonly string[]): GoOn {
  const isSecret = argv.some((word) => word === "--token" || word.startsWith("--token="))
  return () => (isSecret ? "stopped; the same command goes on" : goOnWith(argv))
}

/** @param words of the command line, without the program's name */
export function goOnWith(words: readonly string[], what = "stopped"): string {
  return `${what}; to go on:\n  ${commandLine(["mobileclip", ...words])}`
}
