/** What does not fit in memory waits in a temporary file. */
import { closeSync, openSync, writeSync } from "node:fs"
import { join } from "node:path"
import { EnvironmentError } from "../../core/errors.ts"
import { fileError } from "../../host/files/file-error.ts"
import { readAt } from "../../host/files/read-at.ts"
import { type TemporaryFolder, temporaryFolder } from "../../host/files/temporary.ts"

/** Bytes of the file. */
export interface Run {
  readonly start: number
  readonly length: number
}

/** A temporary file that is gone when it is disposed of. */
export class Spill implements Disposable {
  private readonly folder: TemporaryFolder
  private readonly descriptor: number
  private end = 0

  constructor(around: string | undefined) {
    this.folder = temporaryFolder("keys", around)
    this.descriptor = this.opened()
  }

  private opened(): number {
    try {
      return openSync(join(this.folder.path, "keys"), "wx+")
    } catch (error) {
      this.folder[Symbol.dispose]()
      throw fileError(error, "writing", this.folder.path)
    }
  }

  /** Throws EnvironmentError where the disk does not take it. */
  append(bytes: Uint8Array): Run {
    const start = this.end
    try {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.descriptor, bytes, done, bytes.length - done, start + done)
    } catch (error) {
      throw fileError(error, "writing", this.folder.path)
    }
    this.end += bytes.length
    return { start, length: bytes.length }
  }

  /** Throws EnvironmentError where the file cannot be read, or was cut. */
  read(start: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    const cut = () => new EnvironmentError(`a file in ${this.folder.path} was cut while it was in use`, "begin again")
    readAt(this.descriptor, this.folder.path, start, bytes, cut)
    return bytes
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor)
    this.folder[Symbol.dispose]()
  }
}
