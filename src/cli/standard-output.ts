/**
 * Standard output and error, whose readers may go at any time (`mobileclip ... 2>&1 | head -1`, a terminal that is closed).
 * What is said about the work is dropped then, and the work goes on.
 */
export interface Output {
  out(text: string): void
  err(text: string): void
}

/** What a write fails with when the reader of a pipe, or the terminal, has gone. */
const gone = ["EPIPE", "EIO"]

/**
 * A message takes the place of a progress bar.
 *
 * @param worksOn whether the command has more to do than to print; where it has not, it ends quietly with the reader of
 *   its results
 */
export function standardOutput(worksOn: () => boolean): Output {
  const clearLine = process.stderr.isTTY ? "\r\x1b[K" : ""
  // Nobody could be told.
  process.stderr.on("error", () => {})
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (!gone.includes(error.code ?? "")) throw error
    if (!worksOn()) process.exit(0)
  })
  return { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(clearLine + text) }
}
