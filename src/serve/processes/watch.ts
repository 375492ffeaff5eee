/**
 * Whether a process hangs: it was stopped, or waits for what never comes. One that is slow does not: it answers as soon as its
 * computing lets it, and also on a busy machine it gets some of a processor. What is counted is looks at it, as time goes on where
 * the whole machine is paused.
 */
import { readFileSync } from "node:fs"

export interface Watched {
  readonly pid: number | undefined
  /** Whether it is asked for something. */
  readonly isBusy: boolean
  /** Whether it has opened what it works with, which may take any time. */
  readonly isOpen: boolean
  /** Sends what the process answers as soon as it is not computing. */
  ping(): void
  /** Once. */
  onHang(): void
}

/** Looks in the patience of a watch. */
const looks = 20
/** How many times its patience a process may go on computing without an answer to a ping. */
const mostComputing = 15

export class Watch {
  private readonly timer: NodeJS.Timeout
  private isAwaited = false
  private used: string | null = null
  /** Looks since it last answered or computed; since it last answered. */
  private count = { still: 0, silent: 0 }

  /** @param seconds for which a process may be neither heard nor computing; where the system does not tell the latter, 15 times that */
  constructor(
    private readonly watched: Watched,
    seconds: number,
  ) {
    this.timer = setInterval(() => this.look(), (1000 * seconds) / looks).unref()
  }

  /** It answered a ping. */
  hear(): void {
    this.isAwaited = false
  }

  end(): void {
    clearInterval(this.timer)
  }

  private look(): void {
    const { isBusy, isOpen, pid } = this.watched
    const used = isBusy && pid !== undefined ? processorTime(pid) : null
    const isMoving = used === null || used !== this.used
    this.used = used
    const isSilent = this.isAwaited && isBusy
    this.count.still = isSilent && !isMoving ? this.count.still + 1 : 0
    this.count.silent = isSilent && isOpen ? this.count.silent + 1 : 0
    if (this.count.still >= looks || this.count.silent >= mostComputing * looks) this.hang()
    else if (isBusy && !this.isAwaited) this.ask()
  }

  private ask(): void {
    this.isAwaited = true
    this.watched.ping()
  }

  private hang(): void {
    this.end()
    this.watched.onHang()
  }
}

/** In the system's ticks, which only grow; null where it does not tell. */
function processorTime(pid: number): string | null {
  try {
    // The second field is the program's name, which may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\)/s, "").trim().split(" ")
    return `${fields[11]} ${fields[12]}`
  } catch {
    return null
  }
}
