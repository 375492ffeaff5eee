/**
 * Files and folders that are needed for a while, in the system's temporary folder: `mobileclip-<kind>-<digits>`, with the
 * digits of `staging.ts`. Where one is made, those of its kind that this user's killed processes left are removed first.
 */
import { mkdirSync, readdirSync, rmSync, utimesSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { atExit } from "../at-exit.ts"
import { fileError } from "./file-error.ts"
import { removeOwn } from "./remove-own.ts"
import { isAbandoned, processDigits } from "./staging.ts"

/** A folder that is gone when it is disposed of, and at the latest when the process exits. */
export class TemporaryFolder implements Disposable {
  private readonly cancelExit = atExit(() => this.remove())
  private readonly endUse: () => void

  constructor(readonly path: string) {
    this.endUse = keepInUse(path)
  }

  [Symbol.dispose](): void {
    this.cancelExit()
    this.endUse()
    this.remove()
  }

  private remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/**
 * @param kind what it is for, in letters: one word of its name
 * @param around the folder in which it is made
 * @throws UserError where it cannot be made
 */
export function temporaryFolder(kind: string, around = tmpdir()): TemporaryFolder {
  const path = join(around, `mobileclip-${kind}-${processDigits()}`)
  removeAbandonedOf(kind, around)
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    throw fileError(error, "writing", path)
  }
  return new TemporaryFolder(path)
}

/** A new path for a file, which the caller removes. `name` is its end, for people who look into the folder. */
export function temporaryFile(kind: string, name: string, around = tmpdir()): string {
  removeAbandonedOf(kind, around)
  return join(around, `mobileclip-${kind}-${processDigits()}-${name}`)
}

/** Much less than the time after which a file that was not written to counts as abandoned. */
const renewMilliseconds = 600_000

/** Renews the time of a file or folder that is only read from, until the function that is returned is called. */
export function keepInUse(path: string): () => void {
  const timer = setInterval(() => {
    try {
      utimesSync(path, new Date(), new Date())
    } catch {
      // It was removed: the next read reports that.
    }
  }, renewMilliseconds)
  timer.unref()
  return () => clearInterval(timer)
}

const cleaned = new Set<string>()

/** Once in the life of this process. It is not waited for, because what is removed only takes room on the disk. */
function removeAbandonedOf(kind: string, around: string): void {
  const place = join(around, kind)
  if (cleaned.has(place)) return
  cleaned.add(place)
  const pattern = new RegExp(`^mobileclip-${kind}-([0-9a-f]{32})(-|$)`)
  for (const name of namesIn(around)) {
    const digits = pattern.exec(name)?.[1]
    if (digits) void removeIfAbandoned(join(around, name), digits)
  }
}

async function removeIfAbandoned(path: string, digits: string): Promise<void> {
  if (await isAbandoned(path, digits)) await removeOwn(path).catch(() => {})
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
