/**
 * A file whose time says that its process lives, for those who cannot ask for the process: on another machine, or in
 * another container. A thread renews it, as the process's own may be held for long by native code.
 */
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs"
import { stat, unlink, writeFile } from "node:fs/promises"
import { Worker } from "node:worker_threads"
import { stagingPath } from "../files/staging.ts"
import { workerFile } from "../worker-file.ts"

const beatSeconds = 20

/** Whoever was not heard of for so long is gone: 15 beats, and more than a file server's answers may be old. */
export const goneSeconds = 300

/** Processes that end sooner need no thread. */
const startMilliseconds = 1000

/** The paths of what is held, by the texts that are in them. */
export type Held = ReadonlyMap<string, string>

export interface HeartbeatSettings {
  readonly seconds: number
}

const held = new Map<string, string>()
let timer: NodeJS.Timeout | undefined
let worker: Worker | undefined

/** Renews the file's time until the function that is returned is called. `text` is all that is in it, and in no other file. */
export function keepAlive(path: string, text: string): () => void {
  held.set(text, path)
  tell()
  return () => {
    held.delete(text)
    tell()
  }
}

/** Writes to the files what is in them: their server's clock gives the time. One that is another holder's by now stays as it is. */
export function beat(files: Held): void {
  for (const [text, path] of files) {
    try {
      rewrite(path, text)
    } catch {
      // It is gone, or its server is away for a while.
    }
  }
}

/** How many seconds before now the file beside which `path` is was modified, by the clock of its server; 0 where that cannot be told. */
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

function tell(): void {
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
  // Without a thread the process's own does it, when it can.
  worker.on("error", () => {
    timer = setInterval(() => beat(held), beatSeconds * 1000).unref()
    worker = undefined
  })
  tell()
}

/** Neither a pipe nor a link is waited for or followed. */
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
