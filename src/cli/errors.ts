/** What an error looks like on a terminal, and which exit code it is. */
import { inspect, styleText } from "node:util"
import { CommanderError } from "commander"
import { UserError } from "../core/errors.ts"
import { printable, printableLines } from "../core/printable.ts"
import { fileError } from "../host/files/file-error.ts"

/** `mobileclip:`, red on a terminal that shows colours (NO_COLOR and FORCE_COLOR decide). */
export function prefix(): string {
  return styleText("red", "mobileclip:", { stream: process.stderr })
}

/** The work came to its end, and something had to be left out: exit code 3, and a report says what. */
export class PartialSuccess extends Error {
  override readonly name = "PartialSuccess"
}

/** Ends the command with this code; everything has been said. */
export class Exit extends Error {
  override readonly name = "Exit"

  constructor(readonly code: number) {
    super(`exit code ${code}`)
  }
}

/**
 * Prints `error` unless commander did already. Wrong usage is 2, with a line that names the `help` command; help and
 * `--version` are 0; a partial success is 3; everything else is 1: one line and a hint for a UserError, the stack for a fault of ours.
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

/** Also while modules are loaded, where nothing else can say so. */
function isOutOfFiles(error: unknown): boolean {
  return ["EMFILE", "ENFILE"].includes((error as NodeJS.ErrnoException | null)?.code ?? "")
}

function userErrorText({ message, hint }: UserError): string {
  const lines = [`${prefix()} ${oneLine(message)}`, ...(hint ? [`  ${oneLine(hint)}`] : [])]
  return `${lines.join("\n")}\n`
}

/** Whatever it quotes. */
export function oneLine(text: string): string {
  return printable(text.trim().replaceAll(/\s*\n\s*/g, " "))
}

/** A failure of one piece of the work, the rest of which goes on: a line with a break at its end. */
export function failureLine({ message }: Error): string {
  return `${prefix()} ${oneLine(message)}\n`
}
