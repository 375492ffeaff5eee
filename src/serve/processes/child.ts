/** One process that works for a server: started, asked, ended. What becomes of tasks that it takes with it is `lasting.ts`'s. */
import { type ChildProcess, fork } from "node:child_process"
import { fromMessage } from "../../core/error-message.ts"
import { EnvironmentError } from "../../core/errors.ts"
import type { FromChild, ToChild } from "./messages.ts"

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

/** Milliseconds that a process has to end by itself when its channel is closed. */
const patience = 5000

export class Child<Settings, Description, Task, Answer> {
  /** What it opened. Rejects with what it failed with, ChildDeath where it ended first. */
  readonly ready: Promise<Description>
  readonly ended: Promise<void>
  /** Tasks that it was given. */
  tasks = 0
  hasAnswered = false
  /** As of its last answer. */
  residentBytes = 0
  /** Whether it was told to end. */
  isDismissed = false
  private readonly process: ChildProcess
  private readonly pending = new Map<number, Pending<Answer>>()
  private failure: Error | null = null
  private becomeReady: (description: Description) => void = () => {}
  private failReady: (error: Error) => void = () => {}

  /** Starts it, and opens nothing. */
  constructor(private readonly program: ChildProgram<Settings>) {
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
        this.lose(new ChildDeath(`a process ended with ${signal ?? `exit code ${code}`}`, deathHint))
        resolve()
      })
      this.process.once("error", () => this.process.pid === undefined && resolve())
    })
  }

  get pid(): number | undefined {
    return this.process.pid
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
    return this.ready
  }

  async ask(task: Task, signal?: AbortSignal): Promise<Answer> {
    await this.ready
    signal?.throwIfAborted()
    if (this.failure) throw this.failure
    const id = this.tasks++
    const abort = () => this.send({ kind: "abort", id })
    signal?.addEventListener("abort", abort, { once: true })
    try {
      return await new Promise<Answer>((resolve, reject) => {
        this.pending.set(id, { resolve, reject })
        this.send({ kind: "task", id, task })
      })
    } finally {
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

  private send(message: ToChild<Settings, Task>): void {
    // One that is gone says so by its exit.
    if (this.process.connected) this.process.send(message, () => {})
  }

  private on(message: FromChild<Description, Answer>): void {
    if (message.kind === "ready") this.becomeReady(message.description)
    else if (message.kind === "done") this.take(message.id, message.answer, message.residentBytes)
    else if (message.id === null) this.lose(fromMessage(message.error))
    else this.pending.get(message.id)?.reject(fromMessage(message.error))
  }

  private take(id: number, answer: Answer, residentBytes: number): void {
    this.residentBytes = residentBytes
    this.hasAnswered = true
    this.pending.get(id)?.resolve(answer)
  }

  private lose(error: Error): void {
    this.failure ??= error
    this.failReady(error)
    for (const { reject } of this.pending.values()) reject(error)
  }
}

const deathHint = "is there enough memory?"
