/**
 * How much memory the reading of one file (or sample) may take in total, counted before anything is allocated or built. A
 * limit on each part would not bound the sum: a file can hold any number of parts, or refer to one any number of times.
 */
import { UserError } from "./errors.ts"

export class Budget {
  private taken = 0

  /**
   * @param total bytes: a multiple of the file's size and a constant
   * @param source the file, for the message
   */
  constructor(
    readonly total: number,
    private readonly source: string,
  ) {}

  /** Counts `bytes` more. Throws UserError, naming `what` takes them, where the sum exceeds the total or is not a number. */
  take(bytes: number, what: string): void {
    this.taken += bytes
    if (bytes >= 0 && this.taken <= this.total) return
    throw new UserError(
      `${this.source}: with ${what} it would take ${this.taken} bytes of memory, and a file of its size may take ${this.total}`,
      "the file is damaged, or made to fill the memory: get it from its publisher, or write it again",
    )
  }
}
