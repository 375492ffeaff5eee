/** Pictures that a command reads one after the other: progress, a line for each that cannot be read, and the end that follows. */
import { UserError } from "../core/errors.ts"
import type { Progress } from "../core/progress.ts"
import { ofLongWork } from "../core/progress.ts"
import { failureLine, PartialSuccess } from "./errors.ts"
import { type ProgressMode, progressReporter } from "./progress.ts"

/** A result without those that are errors. */
export type Readable<File> = Exclude<File, { readonly error: unknown }>

interface TallyOptions {
  readonly mode: ProgressMode
  /** Whether results go to standard output: on a terminal they are the progress. */
  readonly isPrinting: boolean
}

export class PictureTally {
  private done = 0
  private failed = 0
  private readonly progress: Progress

  constructor(
    private readonly total: number,
    private readonly write: (text: string) => void,
    { mode, isPrinting }: TallyOptions,
  ) {
    const isShown = !(isPrinting && process.stdout.isTTY)
    this.progress = ofLongWork(progressReporter(isShown ? mode : "none"))("pictures", total, { unit: "pictures" })
  }

  /** Those that could be read; a line for each of the others. The error of a picture alone is the command's. */
  async *readable<File extends object>(files: AsyncIterable<File>): AsyncGenerator<Readable<File>> {
    for await (const file of files) {
      this.progress.update(++this.done)
      if (isReadable(file)) yield file
      else this.fail((file as unknown as { readonly error: UserError }).error)
    }
    this.progress.done()
  }

  /** Throws where pictures could not be read: PartialSuccess where others could. */
  end(): void {
    if (this.failed === 0) return
    const message = `${this.failed} of ${this.total} pictures could not be read`
    throw this.failed < this.total ? new PartialSuccess(message) : new UserError(message)
  }

  private fail(error: UserError): void {
    if (this.total === 1) throw error
    this.failed++
    this.write(failureLine(error))
  }
}

function isReadable<File extends object>(file: File): file is Readable<File> {
  return !("error" in file)
}
