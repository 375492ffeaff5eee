/** A file that grows row by row under a hidden name, and has its own when it is complete and on the disk. */
import { type FileHandle, open, rename } from "node:fs/promises"
import { dirname } from "node:path"
import { fileError } from "../host/files/file-error.ts"
import { discard, sync } from "../host/files/files.ts"
import { stagingPath } from "../host/files/staging.ts"

/** The folder must exist. Its methods throw UserError on failures of the system (disk full, no permission, ...). */
export class PartFile {
  private constructor(
    private readonly path: string,
    private readonly staging: string,
    private readonly file: FileHandle,
  ) {}

  static async create(path: string): Promise<PartFile> {
    const staging = stagingPath(path)
    return explained(path, async () => new PartFile(path, staging, await open(staging, "wx")))
  }

  async append(bytes: Uint8Array): Promise<void> {
    await explained(this.path, () => this.writeAll(bytes, null))
  }

  /** @param head takes the place of the first bytes, which say how many rows there are */
  async commit(head?: Uint8Array): Promise<void> {
    await explained(this.path, async () => {
      if (head) await this.writeAll(head, 0)
      await this.file.sync()
      await this.file.close()
      await rename(this.staging, this.path)
      await sync(dirname(this.path))
    })
  }

  /** For what is not complete. */
  async abandon(): Promise<void> {
    await this.file.close().catch(() => {})
    await discard(this.staging)
  }

  /** @param at null: after what was written before */
  private async writeAll(bytes: Uint8Array, at: number | null): Promise<void> {
    for (let done = 0; done < bytes.length; )
      done += (await this.file.write(bytes, done, bytes.length - done, at === null ? null : at + done)).bytesWritten
  }
}

async function explained<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileError(error, "writing", path)
  }
}
