/** A small file system in memory that is full. Mounting takes root's rights. */
import { spawnSync } from "node:child_process"
import { appendFileSync, mkdirSync, rmSync, statSync, truncateSync } from "node:fs"
import { join } from "node:path"

export class FullDisk implements Disposable {
  private constructor(readonly path: string) {}

  /** Null where mounting is refused. */
  static mount(path: string, megabytes: number): FullDisk | null {
    mkdirSync(path, { recursive: true })
    const options = ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path]
    if (spawnSync("mount", options, { stdio: "ignore" }).status !== 0) return null
    const disk = new FullDisk(path)
    disk.fill()
    return disk
  }

  [Symbol.dispose](): void {
    // Lazily: statements of SQLite keep their database open until they are collected.
    spawnSync("umount", ["-l", this.path], { stdio: "ignore" })
  }

  /** Leaves so many pages of 4096 bytes. */
  fill(pages = 0): void {
    const page = Buffer.alloc(4096)
    const filling = join(this.path, "full")
    try {
      for (;;) appendFileSync(filling, page)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOSPC") {
        truncateSync(filling, statSync(filling).size - pages * page.length)
        return
      }
      this[Symbol.dispose]()
      throw error
    }
  }

  /** Makes room. */
  empty(): void {
    rmSync(join(this.path, "full"))
  }
}
