/**
 * The growing page as a file, replaced whole each time. Where it cannot be written (a full disk), that is said once and the
 * run goes on: what must be written, such as checkpoints, fails by itself.
 */
import { messageOf } from "../../../core/errors.ts"
import { writeAtomically } from "../../../host/files/files.ts"

/** The least seconds between two pages at progress, and the most that a slow one makes of it. */
const interval = { least: 5, most: 15 } as const

/** So many times as long as a page took to make, none is made: they take the time of trainings. */
const rest = 20

export class PageFile {
  private writing: Promise<void> | null = null
  private isAsked = false
  private isClosed = false
  private hasFailed = false
  /** Seconds on the clock of `now`. */
  private nextAt = 0

  /**
   * @param make gives the files, by path
   * @param say gets the line for a page that could not be written
   */
  constructor(
    private readonly make: () => Promise<ReadonlyMap<string, string>>,
    private readonly say: (line: string) => void,
    private readonly now: () => number = () => performance.now() / 1000,
  ) {}

  /** Something has changed: at a turn the page is written as soon as it can be, else when it is due. */
  changed(event: "turn" | "progress"): void {
    if (this.isClosed || (event === "progress" && (this.writing || this.now() < this.nextAt))) return
    this.isAsked = true
    this.writing ??= this.writeAsked()
  }

  /** Waits for the page that is being written; none is written any more. */
  async close(): Promise<void> {
    this.isClosed = true
    await this.writing
  }

  private async writeAsked(): Promise<void> {
    while (this.isAsked) {
      this.isAsked = false
      await this.write()
    }
    this.writing = null
  }

  private async write(): Promise<void> {
    const began = this.now()
    try {
      for (const [path, text] of await this.make()) await writeAtomically(path, [text])
    } catch (error) {
      if (!this.hasFailed) this.say(`the page was not written, and the run goes on: ${messageOf(error)}`)
      this.hasFailed = true
    }
    const took = this.now() - began
    this.nextAt = this.now() + Math.min(interval.most, Math.max(interval.least, rest * took))
  }
}
