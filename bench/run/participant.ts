/** A library that waits for its turn: in a process of its own, or in this one. */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { compiled } from "./compiled.ts"
import type { Batch, Library } from "./library.ts"
import { type LibraryName, openLibrary } from "./open-library.ts"

export interface Task {
  readonly what: "files" | "texts"
  readonly inputs: readonly string[]
  readonly batch: Batch
}

export interface Turn {
  readonly milliseconds: number
  /** Unit vectors of all inputs. */
  readonly vectors: Float32Array
}

/** What a process is told first. */
export interface Opening {
  readonly name: LibraryName
  readonly folder: string
}

export type Answer =
  | { readonly kind: "opened"; readonly description: string; readonly embedDim: number }
  | ({ readonly kind: "turn"; readonly peakBytes: number } & Turn)
  | { readonly kind: "failed"; readonly message: string }

export interface Participant extends AsyncDisposable {
  readonly description: string
  readonly embedDim: number
  run(task: Task): Promise<Turn>
  /** What its process was resident in at its worst, in bytes; null where it shares this one. */
  peakBytes(): number | null
}

export async function takeTurn(library: Library, { what, inputs, batch }: Task): Promise<Turn> {
  const from = performance.now()
  const vectors = await (what === "files" ? library.encodeFiles(inputs, batch) : library.encodeTexts(inputs, batch))
  return { milliseconds: performance.now() - from, vectors }
}

export async function inThisProcess({ name, folder }: Opening): Promise<Participant> {
  const library = await openLibrary(name, folder)
  return {
    description: library.description,
    embedDim: library.embedDim,
    run: (task) => takeTurn(library, task),
    peakBytes: () => null,
    [Symbol.asyncDispose]: () => library.close(),
  }
}

/** Throws what the process says where it fails. */
export async function inOwnProcess(opening: Opening): Promise<Participant> {
  const child = fork(compiled("participant-process"), { serialization: "advanced" })
  let peak = 0
  try {
    const opened = await ask<"opened">(child, opening)
    return {
      description: opened.description,
      embedDim: opened.embedDim,
      async run(task) {
        const { milliseconds, vectors, peakBytes } = await ask<"turn">(child, task)
        peak = peakBytes
        return { milliseconds, vectors }
      },
      peakBytes: () => peak,
      [Symbol.asyncDispose]: () => end(child),
    }
  } catch (error) {
    await end(child)
    throw error
  }
}

async function ask<Kind extends Answer["kind"]>(
  child: ChildProcess,
  question: Opening | Task,
): Promise<Extract<Answer, { kind: Kind }>> {
  const exits = new AbortController()
  try {
    const exit = once(child, "exit", exits).then(([code, signal]) => {
      throw new Error(`a process of the benchmark ended (${signal ?? `exit code ${code}`})`)
    })
    const answer = once(child, "message", exits).then(([message]) => message as Answer)
    child.send(question)
    const found = await Promise.race([answer, exit])
    if (found.kind === "failed") throw new Error(found.message)
    return found as Extract<Answer, { kind: Kind }>
  } finally {
    exits.abort()
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, "exit")
  child.kill("SIGKILL")
  await exit
}
