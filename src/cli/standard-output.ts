/**
 * Standard output and error. Their readers may go at any time (`mobileclip ... 2>&1 | head -1`, a terminal that is closed), and
 * a disk may be full. Then the messages of a command are dropped, and its work goes on.
 */
import { messageOf, UserError } from "../core/errors.ts"
import { fileError } from "../host/files/file-error.ts"
import { failureLine } from "./errors.ts"

export interface Output {
  out(text: string): void
  err(text: string): void
}

/** The error codes of a write when the reader of a pipe, or the terminal, has gone. */
const gone = ["EPIPE", "EIO"]

/**
 * A message takes the place of a progress bar.
 *
 * @param isWorking whether the command has more to do than to print; where it has not, it ends quietly when the reader of its
 *   results does
 */
export function standardOutput(isWorking: () => boolean): Output {
  // There is no place to report this.
  process.stderr.on("error", () => {})
  let isSaid = false
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    const isGone = gone.includes(error.code ?? "")
    // Every later write fails too.
    if (!isGone && !isSaid) process.stderr.write(errorText(failureLine(lost(error, isWorking()))))
    isSaid = true
    if (!isWorking()) process.exit(isGone ? 0 : 1)
  })
  return { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(errorText(text)) }
}

/** A message as it is written on standard error. */
export function errorText(text: string): string {
  return (process.stderr.isTTY ? "\r\x1b[K" : "") + text
}

function lost(error: Error, isWorking: boolean): Error {
  const known = fileError(error, "writing", "standard output")
  const reason = known instanceof UserError ? known.message : `writing standard output failed: ${messageOf(error)}`
  return new Error(isWorking ? `${reason}; the work goes on, and its results are not printed` : reason)
}
