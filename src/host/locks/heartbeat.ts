/**
 * A file whose time shows that its process lives, for processes on another machine or in another container, which cannot
 * ask. A thread renews it, because native code may block the main thread for long.
 */
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs"
import { stat, unlink, writeFile } from "node:fs/promises"
import { Worker } from "node:worker_threads"
import { stagingPath } from "../files/staging.ts"
import { workerFile } from "../worker-file.ts"

const beatSeconds = 20

/** A process without a beat for so long is gone: 15 beats, and more than a file server's answers may be old. */
export const goneSeconds = 300

/** Processes that end sooner do not need a thread. */
const startMilliseconds = 1000

/** The paths of files that are kept alive, by the text in each. */
export type HeldFiles = ReadonlyMap<string, string>

export interface HeartbeatSettings {
  readonly seconds: number
}

const held = new Map<string, string>()
let timer: NodeJS.Timeout | undefined
let worker: Worker | undefined

/** Renews the file's time until the function that is returned is called. `text` is the file's whole content, and no other file has it. */
export function keepAlive(path: string, text: string): () => void {
  held.set(text, path)
  updateWorker()
  return () => {
    held.delete(text)
    updateWorker()
  }
}

/** Writes each file's own text to it again: its server's clock gives the time. A file that has another text by now stays as it is. */
export function beat(files: HeldFiles): void {
  for (const [text, path] of files) {
    try {
      rewrite(path, text)
    } catch {
      // The file was removed, or its server does not answer for a while.
    }
  }
}

/** Seconds since the modification of a file beside `path`, by the clock of its server; 0 where that cannot be measured. */
export async function secondsSinceBeat(path: string, modifiedMilliseconds: number): Promise<number> {
  const probe = stagingPath(path)
  try {
    await writeFile(probe, "now", { flag: "wx" })
    return Math.max(0, ((await stat(probe)).mtimeMs - modifiedMilliseconds) / 1000)
  } catch {
    return 0
  } finally {
    await unlink(probe).catch(() => {})
  }
}

function updateWorker(): void {
  if (held.size === 0) {
    clearTimeout(timer)
    timer = undefined
    void worker?.terminate()
    worker = undefined
  } else if (worker) worker.postMessage(held)
  else timer ??= setTimeout(start, startMilliseconds).unref()
}

function start(): void {
  const workerData: HeartbeatSettings = { seconds: beatSeconds }
  worker = new Worker(workerFile(import.meta.url, "heartbeat-worker"), { workerData, execArgv: [] })
  worker.unref()
  // Where the thread fails, the main thread does it when it can.
  worker.on("error", () => {
    timer = setInterval(() => beat(held), beatSeconds * 1000).unref()
    worker = undefined
  })
  updateWorker()
}

/** A pipe is not waited for, and a link is not followed. */
const flags = constants.O_RDWR | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)

function rewrite(path: string, text: string): void {
  const file = openSync(path, flags)
  try {
    const bytes = Buffer.from(text)
    const found = Buffer.alloc(bytes.length + 1)
    const count = readSync(file, found, 0, found.length, 0)
    if (found.subarray(0, count).equals(bytes)) writeSync(file, bytes, 0, bytes.length, 0)
  } finally {
    closeSync(file)
  }
}
