/** One process that works for a server: started, asked, ended. What becomes of tasks that it takes with it is `lasting.ts`'s. */
import { type ChildProcess, fork } from "node:child_process"
import { fromMessage } from "../../core/error-message.ts"
import { EnvironmentError } from "../../core/errors.ts"
import type { FromChild, ToChild } from "./messages.ts"
import { Watch, type Watched } from "./watch.ts"

/** The process ended before it answered: the same task may succeed in another. */
export class ChildDeath extends EnvironmentError {}

export interface ChildProgram<Settings> {
  /** A JavaScript file that calls `serveParent`. */
  readonly file: string
  readonly settings: Settings
}

interface Pending<Answer> {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/** Answers in which a process takes the memory that it needs, as much is opened when it is first used. */
const firstAnswers = 100

/** Milliseconds that a process has to end by itself when its channel is closed. */
const patience = 5000
/** How many times the seconds after which a process hangs it may work on a task that nobody waits for. */
const mostAlone = 6

export class Child<Settings, Description, Task, Answer> {
  /** What it opened. Rejects with what it failed with, ChildDeath where it ended first. */
  readonly ready: Promise<Description>
  readonly ended: Promise<void>
  /** Tasks that it was given. */
  tasks = 0
  /** As of its last answer. */
  residentBytes = 0
  /** The most that it had in its first answers. */
  neededBytes = 0
  /** Whether it was told to end. */
  isDismissed = false
  private readonly process: ChildProcess
  private readonly pending = new Map<number, Pending<Answer>>()
  private isOpen = false
  private failure: Error | null = null
  private answers = 0
  private watch: Watch | null = null
  private becomeReady: (description: Description) => void = () => {}
  private failReady: (error: Error) => void = () => {}

  /**
   * Starts it, and opens nothing.
   *
   * @param hangSeconds after which a process that does nothing is killed (`watch.ts`)
   */
  constructor(
    private readonly program: ChildProgram<Settings>,
    private readonly hangSeconds: number,
  ) {
    this.ready = new Promise((resolve, reject) => {
      this.becomeReady = resolve
      this.failReady = reject
    })
    this.ready.catch(() => {})
    this.process = fork(program.file, { serialization: "advanced", stdio: ["ignore", "ignore", "inherit", "ipc"] })
    this.process.on("message", (message) => this.on(message as FromChild<Description, Answer>))
    this.process.on("error", (error) => {
      this.lose(new ChildDeath(`a process could not be used: ${error.message}`))
      this.process.kill("SIGKILL")
    })
    this.ended = new Promise((resolve) => {
      this.process.once("exit", (code, signal) => {
        this.watch?.end()
        this.lose(new ChildDeath(`a process ended with ${signal ?? `exit code ${code}`}`, deathHint))
        resolve()
      })
      this.process.once("error", () => this.process.pid === undefined && resolve())
    })
  }

  get pid(): number | undefined {
    return this.process.pid
  }

  get hasAnswered(): boolean {
    return this.answers > 0
  }

  get isAlive(): boolean {
    return this.failure === null
  }

  /** Tasks without an answer yet. */
  get load(): number {
    return this.pending.size
  }

  /** Once. Throws as `ready` does. */
  open(): Promise<Description> {
    this.send({ kind: "open", settings: this.program.settings })
    this.watch = new Watch(this.watched(), this.hangSeconds)
    this.ready.then(
      () => {
        this.isOpen = true
      },
      () => {},
    )
    return this.ready
  }

  async ask(task: Task, signal?: AbortSignal): Promise<Answer> {
    await this.ready
    signal?.throwIfAborted()
    if (this.failure) throw this.failure
    const id = this.tasks++
    let late: NodeJS.Timeout | undefined
    const abort = () => {
      this.send({ kind: "abort", id })
      // A thread of it may hang, while the process itself answers.
      late = setTimeout(() => this.hang(), 1000 * mostAlone * this.hangSeconds).unref()
    }
    signal?.addEventListener("abort", abort, { once: true })
    try {
      return await new Promise<Answer>((resolve, reject) => {
        this.pending.set(id, { resolve, reject })
        this.send({ kind: "task", id, task })
      })
    } finally {
      clearTimeout(late)
      this.pending.delete(id)
      signal?.removeEventListener("abort", abort)
    }
  }

  /** Resolves when it is gone; what it has not answered is rejected with ChildDeath. */
  async end(): Promise<void> {
    this.isDismissed = true
    if (this.process.connected) this.process.disconnect()
    const timer = setTimeout(() => this.process.kill("SIGKILL"), patience)
    await this.ended
    clearTimeout(timer)
  }

  private watched(): Watched {
    const child = this
    return {
      get pid() {
        return child.pid
      },
      get isBusy() {
        return !child.isOpen || child.load > 0
      },
      get isOpen() {
        return child.isOpen
      },
      ping: () => this.send({ kind: "ping" }),
      onHang: () => this.hang(),
    }
  }

  private hang(): void {
    this.lose(new ChildDeath("a process did not answer any more"))
    this.process.kill("SIGKILL")
  }

  private send(message: ToChild<Settings, Task>): void {
    // One that is gone says so by its exit.
    if (this.process.connected) this.process.send(message, () => {})
  }

  private on(message: FromChild<Description, Answer>): void {
    if (message.kind === "pong") this.watch?.hear()
    else if (message.kind === "ready") this.becomeReady(message.description)
    else if (message.kind === "done") this.take(message.id, message.answer, message.residentBytes)
    else if (message.id === null) this.lose(fromMessage(message.error))
    else this.pending.get(message.id)?.reject(fromMessage(message.error))
  }

  private take(id: number, answer: Answer, residentBytes: number): void {
    this.residentBytes = residentBytes
    if (this.answers++ < firstAnswers) this.neededBytes = Math.max(this.neededBytes, residentBytes)
    this.pending.get(id)?.resolve(answer)
  }

  private lose(error: Error): void {
    this.failure ??= error
    this.failReady(error)
    for (const { reject } of this.pending.values()) reject(error)
  }
}

const deathHint = "is there enough memory?"
