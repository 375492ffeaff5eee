/** Keeps an index in step with its folders: what changes is indexed some seconds after it has come to rest. */
import { setTimeout as sleep } from "node:timers/promises"
import { messageOf } from "../../core/errors.ts"
import { InUseError } from "../../host/locks/lock.ts"
import { type IndexOptions, type IndexSummary, indexPictures } from "./index-pictures.ts"
import { rootPaths } from "./roots.ts"

export interface WatchOptions extends IndexOptions {
  readonly signal: AbortSignal
  /** Is told of each pass that changed something. */
  readonly onPass?: (summary: IndexSummary) => void
  /** Seconds without a change before one is indexed (default: 2). */
  readonly restSeconds?: number
  /** Seconds between looks at the folders where the system does not tell of changes (default: 300). */
  readonly againSeconds?: number
}

/** @throws as `indexPictures`, and the signal's reason, by which it ends */
export async function watchPictures(folder: string, folders: readonly string[], options: WatchOptions): Promise<never> {
  const { signal, onPass, onNote, restSeconds = 2, againSeconds = 300 } = options
  onPass?.(await indexPictures(folder, folders, options))
  const changed = new Changes()
  const watcher = await openWatcher(rootPaths(folder), changed, onNote)
  try {
    for (;;) {
      await changed.wait(signal, 1000 * (watcher.tells() ? 2 ** 31 : againSeconds))
      await changed.rest(signal, 1000 * restSeconds)
      const summary = await passWhenFree(folder, options)
      const { encoded, known, described, removed, failed, unread } = summary
      if (encoded + known + described + removed + failed + unread > 0) onPass?.(summary)
    }
  } finally {
    await watcher.close()
  }
}

/** Another command may write for a while. */
async function passWhenFree(folder: string, options: WatchOptions): Promise<IndexSummary> {
  for (;;) {
    try {
      return await indexPictures(folder, [], options)
    } catch (error) {
      if (!(error instanceof InUseError)) throw error
      await sleep(5000, undefined, { signal: options.signal })
    }
  }
}

/** When something changed last. */
class Changes {
  private last = 0
  private wake: (() => void) | null = null

  note(): void {
    this.last = Date.now()
    this.wake?.()
  }

  /** Until something changed, or so many milliseconds have passed. */
  async wait(signal: AbortSignal, most: number): Promise<void> {
    signal.throwIfAborted()
    if (this.last > 0) return
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener("abort", end)
        this.wake = null
        resolve()
      }
      const timer = setTimeout(end, Math.min(most, 2 ** 31 - 1))
      this.wake = end
      signal.addEventListener("abort", end)
    })
    signal.throwIfAborted()
  }

  /** Until nothing has changed for so long. */
  async rest(signal: AbortSignal, milliseconds: number): Promise<void> {
    while (Date.now() - this.last < milliseconds) await sleep(milliseconds / 4, undefined, { signal })
    this.last = 0
  }
}

/** Where the system has no more watches, folders are looked at again and again. */
async function openWatcher(roots: readonly string[], changed: Changes, onNote: IndexOptions["onNote"]) {
  const { watch } = await import("chokidar")
  let isTelling = true
  const watcher = watch([...roots], { ignoreInitial: true, ignored: /(^|[/\\])\.[^/\\]/, ignorePermissionErrors: true })
  watcher.on("all", () => changed.note())
  watcher.on("error", (error) => {
    const code = (error as NodeJS.ErrnoException).code
    if (!isTelling) return
    isTelling = false
    const why = code === "ENOSPC" ? "there are more folders than fs.inotify.max_user_watches" : messageOf(error)
    onNote?.(`the system does not tell of all changes (${why}): folders are looked at every few minutes`)
    changed.note()
  })
  await new Promise<void>((resolve) => watcher.once("ready", resolve))
  return { tells: () => isTelling, close: () => watcher.close() }
}
