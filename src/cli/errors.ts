/** How errors are printed, and which exit codes they have. */
import { inspect, styleText } from "node:util"
import { CommanderError } from "commander"
import { UserError } from "../core/errors.ts"
import { printable, printableLines } from "../core/printable.ts"
import { fileError } from "../host/files/file-error.ts"

/** `mobileclip:`, red on a terminal that shows colours (NO_COLOR and FORCE_COLOR decide). */
export function prefix(): string {
  return styleText("red", "mobileclip:", { stream: process.stderr })
}

/** The work is done, but something had to be left out, which a report names: exit code 3. */
export class PartialSuccess extends Error {
  override readonly name = "PartialSuccess"
}

/** Ends the command with this code and prints nothing more. */
export class Exit extends Error {
  override readonly name = "Exit"

  constructor(readonly code: number) {
    super(`exit code ${code}`)
  }
}

/**
 * Prints `error` unless commander already did. Exit codes: 2 for wrong usage, with a line that names the `help` command; 0 for
 * help and `--version`; 3 for a partial success; else 1, with one line and a hint for a UserError, and the stack for a bug of ours.
 */
export function exitCodeOf(error: unknown, write: (text: string) => void, help: string): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0
    if (error.code !== "commander.help") write(`  see ${help}\n`)
    return 2
  }
  if (error instanceof Exit) return error.code
  if (error instanceof PartialSuccess) {
    write(failureLine(error))
    return 3
  }
  const known = isOutOfFiles(error) ? fileError(error, "reading", "a file") : error
  if (known instanceof UserError) write(userErrorText(known))
  else write(`${prefix()} unexpected error\n${printableLines(inspect(error))}\n`)
  return 1
}

/** Whether the process has too many open files, which may happen while modules are loaded. */
function isOutOfFiles(error: unknown): boolean {
  return ["EMFILE", "ENFILE"].includes((error as NodeJS.ErrnoException | null)?.code ?? "")
}

function userErrorText({ message, hint }: UserError): string {
  const lines = [`${prefix()} ${joinedLines(message)}`, ...(hint ? [`  ${joinedLines(hint)}`] : [])]
  return `${lines.join("\n")}\n`
}

/** A message as one printable line, whatever it quotes. */
export function joinedLines(text: string): string {
  return printable(text.trim().replaceAll(/\s*\n\s*/g, " "))
}

/** A line, with a break at its end, about a failed part of the work, the rest of which goes on. */
export function failureLine({ message }: Error): string {
  return `${prefix()} ${joinedLines(message)}\n`
}
