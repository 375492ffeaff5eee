/** A side that waits for its turn in a process of its own. */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { Dataset, Side } from "./vector-index.ts"

export type Question =
  | { readonly side: Side; readonly dataset: Dataset }
  | { readonly query: Float32Array; readonly k: number }

export interface Memory {
  /** Resident at the worst, and now, in bytes. */
  readonly peak: number
  readonly resident: number
  /** What is shared with others counts by its share; of pages of files, all that are mapped. */
  readonly proportional: number
  /** What is not of a file. */
  readonly anonymous: number
}

export type Answer =
  | { readonly kind: "opened"; readonly settings: string; readonly seconds: number }
  | {
      readonly kind: "found"
      readonly positions: number[]
      readonly milliseconds: number
      readonly memory: Memory
    }
  | { readonly kind: "failed"; readonly message: string }

export class SideProcess implements AsyncDisposable {
  private readonly child: ChildProcess

  constructor() {
    this.child = fork(fileURLToPath(new URL("./side-process.js", import.meta.url)), { serialization: "advanced" })
  }

  /** Throws what the process says where it fails. */
  async ask<Kind extends Answer["kind"]>(question: Question): Promise<Extract<Answer, { kind: Kind }>> {
    const waiting = new AbortController()
    try {
      const exit = once(this.child, "exit", waiting).then(([code, signal]) => {
        throw new Error(`a process of the benchmark ended (${signal ?? `exit code ${code}`})`)
      })
      const answer = once(this.child, "message", waiting).then(([message]) => message as Answer)
      this.child.send(question)
      const found = await Promise.race([answer, exit])
      if (found.kind === "failed") throw new Error(found.message)
      return found as Extract<Answer, { kind: Kind }>
    } finally {
      waiting.abort()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exit = once(this.child, "exit")
    this.child.kill("SIGKILL")
    await exit
  }
}
