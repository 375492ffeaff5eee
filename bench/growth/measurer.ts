/** A process that measures sizes of one row, one after the other, and is ended where one takes too long. */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { measureProcess } from "./compiled.ts"
import type { Outcome, Task } from "./row.ts"

/** Letters of what a process that failed wrote last. */
const tail = 300

export class Measurer implements AsyncDisposable {
  private readonly child: ChildProcess
  private said = ""

  /** @param cache a folder for what builds keep between runs */
  constructor(
    cache: string,
    private readonly limitSeconds?: number,
  ) {
    this.child = fork(measureProcess, {
      execArgv: ["--expose-gc"],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      env: { ...process.env, XDG_CACHE_HOME: cache, OMP_NUM_THREADS: "1" },
    })
    this.child.stderr!.on("data", (data) => {
      this.said = `${this.said}${data}`.slice(-tail)
    })
  }

  /** Nothing more can be measured by it after one that was over, or ended it. */
  async measure(task: Task): Promise<Outcome> {
    const listening = new AbortController()
    const seconds = this.limitSeconds
    const timer = seconds === undefined ? undefined : setTimeout(() => listening.abort(), seconds * 1000)
    try {
      this.child.send(task)
      const answer = once(this.child, "message", listening).then(([message]) => message as Outcome)
      const end = once(this.child, "close", listening).then(([code, signal]) => this.ended(code, signal))
      return await Promise.race([answer, end])
    } catch (error) {
      if (seconds === undefined || !listening.signal.aborted) throw error
      await this[Symbol.asyncDispose]()
      return { kind: "over", seconds }
    } finally {
      clearTimeout(timer)
      listening.abort()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { child } = this
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill("SIGKILL")
    await once(child, "exit")
  }

  private ended(code: number | null, signal: string | null): Outcome {
    return { kind: "failed", message: `ended (${signal ?? `exit code ${code}`}) ${this.said}`.trim() }
  }
}
