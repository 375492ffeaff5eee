/** Whether a file that is not found is gone, or its folder is away, as a drive that is not mounted. */
import { opendirSync } from "node:fs"
import { dirname, join, sep } from "node:path"

/** Folders that do not say what became of their files. Each is looked at once. */
export class AwayFolders {
  private readonly known = new Map<string, string | null>()

  constructor(private readonly root: string) {}

  /**
   * Null: the file is gone, for the folder that it was in has other entries, or is itself gone from one that has. Else the folder
   * that is empty, as where a drive is mounted, or cannot be read; "": the root.
   */
  around(path: string): string | null {
    const folder = path.includes(sep) ? dirname(path) : ""
    const before = this.known.get(folder)
    if (before !== undefined) return before
    const state = stateOf(join(this.root, folder))
    const found = state === "used" ? null : state === "missing" && folder !== "" ? this.around(folder) : folder
    this.known.set(folder, found)
    return found
  }
}

function stateOf(folder: string): "used" | "empty" | "missing" | "unread" {
  try {
    const entries = opendirSync(folder)
    try {
      return entries.readSync() === null ? "empty" : "used"
    } finally {
      entries.closeSync()
    }
  } catch (error) {
    return isMissing(error) ? "missing" : "unread"
  }
}

/** Whether a file's folder went away, as a drive does; a file that was removed leaves the others, or their folder. */
export function isAway(root: string, path: string): boolean {
  return new AwayFolders(root).around(path) !== null
}

/** Whether a file system's error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException | undefined)?.code ?? "")
}
