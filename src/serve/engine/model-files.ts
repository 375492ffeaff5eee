/** The files that a process has a model of: where others take their place under a server, vectors of two models must not meet. */
import { createHash } from "node:crypto"
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"

/** What a model is read from: graphs, their weights, and what describes them; beside them, a folder may hold what changes. */
const isRead = /\.(onnx\w*|data|bin|json|txt)$/

export class ModelFiles {
  private constructor(
    private readonly stamps: ReadonlyMap<string, string>,
    /** Another one where a file was replaced or written to, or the folder is another. */
    readonly identity: string,
  ) {}

  /** As they are now. Throws the system's error where there is no such folder. */
  static in(directory: string): ModelFiles {
    const names = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) => isRead.test(name))
    const paths = names.sort().map((name) => join(directory, name))
    const stamps = new Map(paths.map((path) => [path, stampOf(path) ?? ""]))
    return new ModelFiles(
      stamps,
      createHash("sha256")
        .update(JSON.stringify([...stamps]))
        .digest("base64"),
    )
  }

  /** Files that are gone were read already, or cannot be: no other model is read from them. */
  get areUnchanged(): boolean {
    return [...this.stamps].every(([path, stamp]) => (stampOf(path) ?? stamp) === stamp)
  }
}

/** No program can set the time of a file's last change (ctime) back; null where there is no file. */
function stampOf(path: string): string | null {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found ? [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(" ") : null
}
