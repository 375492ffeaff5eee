/** Files on this machine, or in a folder that machines share. */
import { readdir, rm, stat } from "node:fs/promises"
import { dirname, join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { messageOf, UserError } from "../../core/errors.ts"
import { fileError } from "../../host/files/file-error.ts"
import { makeDirectory, readBytes, requireFile, writeAtomically } from "../../host/files/files.ts"
import { isSystemFile } from "../../host/files/system-files.ts"
import { isBookkeeping } from "../../host/locks/lock.ts"
import { Hashing } from "./hashing.ts"
import type { Chunks, LocalFile, Storage, Written } from "./storage.ts"

export class LocalStorage implements Storage {
  async fetch(url: string): Promise<LocalFile> {
    const path = pathOf(url)
    if (!(await this.stat(url))) throw new UserError(`${path}: no such file`, "check the path")
    return { path, [Symbol.asyncDispose]: async () => {} }
  }

  async readBytes(url: string): Promise<Uint8Array | null> {
    return (await this.stat(url)) ? readBytes(pathOf(url)) : null
  }

  async put(url: string, chunks: Chunks): Promise<Written> {
    const path = pathOf(url)
    await makeDirectory(dirname(path))
    const hashing = new Hashing(chunks)
    await writeAtomically(path, hashing)
    return hashing.written()
  }

  async stat(url: string): Promise<{ bytes: number } | null> {
    const path = pathOf(url)
    const found = await stat(path).catch(absent(path))
    if (found && !found.isFile()) await requireFile(path)
    return found && { bytes: found.size }
  }

  async list(folder: string): Promise<string[]> {
    const path = pathOf(folder)
    try {
      const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(absent(path))
      const files = (entries ?? []).filter((entry) => !entry.isDirectory() && !isBeside(entry.name))
      return files.map((entry) => relative(path, join(entry.parentPath, entry.name)).replaceAll(sep, "/")).sort()
    } catch (error) {
      throw fileError(error, "reading", path)
    }
  }

  async remove(url: string): Promise<void> {
    const path = pathOf(url)
    await rm(path, { force: true }).catch((error: unknown) => {
      throw fileError(error, "writing", path)
    })
  }
}

/** Throws UserError where it begins with file:// and does not name a file of this machine. */
export function pathOf(url: string): string {
  if (!/^file:\/\//i.test(url)) return url
  try {
    return fileURLToPath(url)
  } catch (error) {
    throw new UserError(`${url} is not a file's address: ${messageOf(error)}`, "file:///folder/0.tar, or the path")
  }
}

/** Whether a file of this name is bookkeeping and was not stored by a user. */
function isBeside(name: string): boolean {
  return isBookkeeping(name) || isSystemFile(name)
}

/** For `catch`: null where the path does not exist; throws every other error as `fileError` explains it. */
function absent(path: string): (error: NodeJS.ErrnoException) => null {
  return (error) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null
    throw fileError(error, "reading", path)
  }
}
