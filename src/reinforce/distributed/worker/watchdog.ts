/** Abandons work that makes no progress. */

/** The work was told to stop and did not: nothing else can be begun in its place. */
export class StuckError extends Error {
  override readonly name = "StuckError"
}

/** Seconds that abandoned work has to end. */
const graceSeconds = 30

export class Watchdog implements Disposable {
  private readonly controller = new AbortController()
  private timer: NodeJS.Timeout | undefined
  private last = -1

  constructor(private readonly seconds: number) {
    this.restart()
  }

  /** Aborts, with an Error that says so, where no progress was seen for so many seconds. */
  get signal(): AbortSignal {
    return this.controller.signal
  }

  /** @param done how far the work is; the same again is not progress */
  readonly progress = (done: number): void => {
    if (done === this.last) return
    this.last = done
    this.restart()
  }

  /** Something moves, though no figure says how far. */
  readonly activity = (): void => {
    if (!this.signal.aborted) this.restart()
  };

  [Symbol.dispose](): void {
    clearTimeout(this.timer)
  }

  private restart(): void {
    clearTimeout(this.timer)
    const give = () => this.controller.abort(new Error(`no progress for ${this.seconds} seconds`))
    this.timer = setTimeout(give, this.seconds * 1000)
  }
}

/** The result of work that listens to `signal`. Throws StuckError where it goes on for half a minute after it. */
export async function orStuck<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  let onAbort = () => {}
  const stuck = new Promise<never>((_, reject) => {
    const giveUp = () =>
      reject(new StuckError(`the work did not end within ${graceSeconds} seconds of being abandoned`))
    onAbort = () => {
      timer = setTimeout(giveUp, graceSeconds * 1000)
    }
    if (signal.aborted) onAbort()
    signal.addEventListener("abort", onAbort, { once: true })
  })
  try {
    return await Promise.race([work, stuck])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener("abort", onAbort)
  }
}
