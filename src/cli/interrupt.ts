/**
 * Ctrl-C, SIGTERM and the end of the terminal: the first signal asks a command to finish its step and save, a second one ends
 * the process. While a step computes in this thread, libtorch's addon answers in the place of the listeners here.
 */
import { armStopSignals, claimAnswer, disarmStopSignals } from "../native/stop-signals.ts"
import type { GoOn, Purpose } from "./context.ts"

const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

/** Milliseconds within which a second signal counts as the first one again. */
const doubled = 500

type Signal = keyof typeof exitCodes

export class Interrupt {
  /** The exit code for the signal that came, 0 where a server was asked to stop; null if none did. */
  exitCode: number | null = null
  private readonly controller = new AbortController()
  /** Whether a command has begun work that it has to finish and save. */
  isWorking = false
  private isListening = false
  private at = 0
  private what = ""
  private purpose: Purpose = "saving"
  private goOn: GoOn = () => null

  /** @param nativeText what the addon writes on standard error in the place of `write`; null where it must not */
  constructor(
    private readonly write: (text: string) => void,
    private readonly nativeText: ((text: string) => string) | null = null,
  ) {}

  /** Before this call a signal ends the process at once, which is right for commands that save nothing. */
  readonly abortOnInterrupt = (
    what = "stopping after the current step",
    goOn: GoOn = () => null,
    purpose: Purpose = "saving",
  ): AbortSignal => {
    this.what = what
    this.goOn = goOn
    if (!this.isListening) for (const signal of signals()) process.on(signal, this.onSignal)
    this.isListening = true
    if (this.nativeText) armStopSignals({ text: this.nativeText(this.answer()), signals: signals(), doubled })
    if (purpose !== "printing") this.isWorking = true
    this.purpose = purpose
    return this.controller.signal
  }

  /** Writes how to go on, when the command has ended because of a signal. */
  async sayHowToGoOn(): Promise<void> {
    const text = this.exitCode === null ? null : await this.goOn()
    if (text !== null) this.write(`mobileclip: ${text}\n`)
  }

  close(): void {
    if (this.nativeText) disarmStopSignals()
    for (const signal of signals()) process.off(signal, this.onSignal)
  }

  private readonly onSignal = (signal: Signal): void => {
    if (this.exitCode !== null) {
      // A job's launcher and its scheduler may both pass on one signal.
      if (performance.now() - this.at < doubled) return
      if (this.nativeText) disarmStopSignals()
      process.exit(exitCodes[signal])
    }
    this.at = performance.now()
    this.exitCode = this.purpose === "serving" ? 0 : exitCodes[signal]
    if (this.nativeText === null || claimAnswer()) this.write(this.answer())
    this.controller.abort()
  }

  private answer(): string {
    return `\nmobileclip: ${this.what}; once more stops now\n`
  }
}

function signals(): Signal[] {
  return Object.keys(exitCodes) as Signal[]
}
