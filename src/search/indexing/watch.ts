/** Keeps an index in step with its folders: what changes is indexed some seconds after it has come to rest. */
import { existsSync, statSync } from "node:fs"
import { join, relative } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { FSWatcher } from "chokidar"
import { messageOf } from "../../core/errors.ts"
import { InUseError } from "../../host/locks/lock.ts"
import { databaseFile, requireIndex } from "../store/index-store.ts"
import { type IndexOptions, type IndexSummary, indexPictures } from "./index-pictures.ts"
import { isWithin, rootPaths } from "./roots.ts"

export interface WatchOptions extends IndexOptions {
  readonly signal: AbortSignal
  /** Is told of each pass that changed something. */
  readonly onPass?: (summary: IndexSummary) => void
  /** Seconds without a change before one is indexed (default: 2). */
  readonly restSeconds?: number
  /** Seconds after which folders are looked at though the system told of no change, which it does not of all (default: 300). */
  readonly againSeconds?: number
}

/** @throws as `indexPictures`, and the signal's reason, by which it ends */
export async function watchPictures(folder: string, folders: readonly string[], options: WatchOptions): Promise<never> {
  const { signal, onPass, onNote, restSeconds = 2, againSeconds = 300 } = options
  const said = new Set<string>()
  // A folder has the same notes at each pass.
  const onceNoted = (line: string) => {
    if (!said.has(line)) onNote?.(line)
    said.add(line)
  }
  const told = { ...options, onNote: onceNoted }
  // Not within the call, which is left out with its arguments where nobody is told.
  const first = await indexPictures(folder, folders, told)
  onPass?.(first)
  const changed = new Changes()
  await using watcher = new Watcher(changed, onceNoted)
  for (;;) {
    requireIndex(folder)
    await watcher.follow(rootPaths(folder), signal)
    const isStill = () => watcher.isStill() && existsSync(join(folder, databaseFile))
    await changed.wait(signal, 1000 * againSeconds, isStill)
    await changed.rest(signal, 1000 * restSeconds, 1000 * againSeconds)
    requireIndex(folder)
    const summary = await passWhenFree(folder, told)
    const { encoded, known, described, removed, failed, unread } = summary
    if (encoded + known + described + removed + failed + unread > 0) onPass?.(summary)
  }
}

/** Another command may write for a while. */
async function passWhenFree(folder: string, options: WatchOptions): Promise<IndexSummary> {
  for (;;) {
    try {
      // Patterns are kept since the first pass, each with its folder.
      return await indexPictures(folder, [], { ...options, exclude: undefined })
    } catch (error) {
      if (!(error instanceof InUseError)) throw error
      await sleep(5000, undefined, { signal: options.signal })
    }
  }
}

/** When something changed last; null: nothing has since the last pass. */
class Changes {
  private last: number | null = null
  private wake: (() => void) | null = null

  note(): void {
    this.last = performance.now()
    this.wake?.()
  }

  /** Until something changed, so many milliseconds have passed, or what is watched is not what it was. */
  async wait(signal: AbortSignal, most: number, isStill: () => boolean): Promise<void> {
    const end = performance.now() + most
    while (this.last === null && performance.now() < end && isStill()) {
      signal.throwIfAborted()
      await this.changeWithin(signal, Math.min(lookMilliseconds, end - performance.now()))
    }
    signal.throwIfAborted()
  }

  private async changeWithin(signal: AbortSignal, milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener("abort", end)
        this.wake = null
        resolve()
      }
      const timer = setTimeout(end, Math.max(0, milliseconds))
      this.wake = end
      signal.addEventListener("abort", end)
    })
  }

  /** Until nothing has changed for so long; a folder that never rests is waited for `most` milliseconds. */
  async rest(signal: AbortSignal, milliseconds: number, most: number): Promise<void> {
    const end = performance.now() + most
    const left = () => Math.min((this.last ?? Number.NEGATIVE_INFINITY) + milliseconds, end) - performance.now()
    while (left() > 0) await sleep(Math.min(milliseconds / 4, left()), undefined, { signal })
    this.last = null
  }
}

/** Between looks whether the folders are those that are watched. */
const lookMilliseconds = 2000

/** The system's watches of some folders: they end with a folder that is removed, or a drive that goes, and do not come back with it. */
class Watcher implements AsyncDisposable {
  private open: FSWatcher | null = null
  private state = ""
  private roots: readonly string[] = []

  constructor(
    private readonly changed: Changes,
    private readonly onNote: (line: string) => void,
  ) {}

  /** Watches these folders, anew where they are others than before. */
  async follow(roots: readonly string[], signal: AbortSignal): Promise<void> {
    const state = stateOf(roots)
    if (state === this.state) return
    await this[Symbol.asyncDispose]()
    this.roots = roots
    this.state = state
    this.open = await openWatcher(roots, this.changed, this.onNote)
    const ready = new Promise<void>((resolve) => this.open!.once("ready", resolve))
    await Promise.race([ready, whenAborted(signal)])
    // What came between the pass and the watch was told by nobody.
    this.changed.note()
  }

  isStill(): boolean {
    return stateOf(this.roots) === this.state
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.open?.close()
    this.open = null
  }
}

/** Which folders of the disk these are now. */
function stateOf(roots: readonly string[]): string {
  return roots
    .map((root) => {
      try {
        const { dev, ino } = statSync(root, { bigint: true })
        return `${root} ${dev} ${ino}`
      } catch {
        return `${root} away`
      }
    })
    .join("\n")
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener("abort", () => resolve(), { once: true })
  })
}

const hiddenName = /(^|[/\\])\./

/** Where the system has no more watches, folders are looked at again and again. */
async function openWatcher(
  roots: readonly string[],
  changed: Changes,
  onNote: (line: string) => void,
): Promise<FSWatcher> {
  const { watch } = await import("chokidar")
  // The folders themselves may lie in a hidden one.
  const isHidden = (path: string) => roots.some((root) => isWithin(path, root) && hiddenName.test(relative(root, path)))
  const watcher = watch([...roots], { ignoreInitial: true, ignored: isHidden, ignorePermissionErrors: true })
  watcher.on("all", () => changed.note())
  watcher.on("error", (error) => {
    const code = (error as NodeJS.ErrnoException).code
    const why = code === "ENOSPC" ? "there are more folders than fs.inotify.max_user_watches" : messageOf(error)
    onNote(`the system does not tell of all changes (${why}): folders are looked at every few minutes`)
  })
  return watcher
}
