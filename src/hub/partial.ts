/**
 * A download that is not complete yet: a file beside the blob that belongs to one process at a time.
 *
 * While it is written its name carries the digits of its process (`host/files/staging.ts`); when that stops, it is renamed
 * to a name that the next process may take. Renaming is atomic, so when two processes pull one file, one goes on with the
 * part and the other starts its own: neither waits, neither can harm the other, and a killed process blocks no other.
 * The name `<etag>.incomplete` of other tools is left alone, since they may be writing to it.
 */
import { createHash, type Hash } from "node:crypto"
import { constants, createReadStream, existsSync } from "node:fs"
import { type FileHandle, lstat, open, readdir, rename, rm, stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import { makeDirectory } from "../host/files/files.ts"
import { isOwn } from "../host/files/remove-own.ts"
import { isAbandoned, processDigits } from "../host/files/staging.ts"
import type { RemoteFile } from "./repository.ts"

export class PartialDownload implements AsyncDisposable {
  /** Bytes in the file. */
  length = 0
  private hash: Hash

  private constructor(
    private readonly file: RemoteFile,
    private readonly blob: string,
    private readonly path: string,
    private readonly handle: FileHandle,
  ) {
    this.hash = newHash(file)
  }

  /** Takes over what an earlier download left of the same contents, or begins a new file. */
  static async open(file: RemoteFile, blob: string): Promise<PartialDownload> {
    await makeDirectory(dirname(blob))
    const own = `${blob}.${processDigits()}.incomplete`
    for (const name of await abandoned(blob)) {
      if (await rename(name, own).then(...yesOrNo)) break
    }
    const partial = new PartialDownload(file, blob, own, await open(own, toAppend))
    await partial.readExisting()
    return partial
  }

  async append(bytes: Uint8Array): Promise<void> {
    await this.handle.appendFile(bytes)
    this.hash.update(bytes)
    this.length += bytes.length
  }

  /** Begins again from nothing. */
  async clear(): Promise<void> {
    await this.handle.truncate(0)
    this.hash = newHash(this.file)
    this.length = 0
  }

  /** The digest of everything in the file, in the form of the file's etag. Ends the hash. */
  digest(): string {
    return this.hash.digest("hex")
  }

  /** Gives the file its final name, and removes what others left of it. */
  async complete(): Promise<void> {
    await this.handle.sync()
    await rename(this.path, this.blob)
    for (const path of await abandoned(this.blob)) await rm(path, { force: true })
  }

  async discard(): Promise<void> {
    await rm(this.path, { force: true })
  }

  /** A part that is neither complete nor discarded is left for the next process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close()
    if (this.length === 0 || existsSync(this.blob)) await this.discard()
    else await rename(this.path, released(this.blob)).then(...yesOrNo)
  }

  private async readExisting(): Promise<void> {
    const { size } = await stat(this.path)
    if (size > this.file.size) return this.clear()
    for await (const bytes of createReadStream(this.path)) this.hash.update(bytes)
    this.length = size
  }
}

/** If a link has taken the file's place, nothing is written to where it leads. */
const toAppend = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | (constants.O_NOFOLLOW ?? 0)

const yesOrNo = [() => true, () => false] as const

function released(blob: string): string {
  return `${blob}.mobileclip.incomplete`
}

/** git hashes the kind and length of a file in front of its contents. */
function newHash({ checksum, size }: RemoteFile): Hash {
  return checksum === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`)
}

/** This user's unfinished files of the blob that no process writes; other users' files may lead anywhere. */
async function abandoned(blob: string): Promise<string[]> {
  const found: string[] = []
  for (const name of await readdir(dirname(blob))) {
    const path = join(dirname(blob), name)
    if ((path === released(blob) || (await isLeft(path, blob))) && (await isOwnFile(path))) found.push(path)
  }
  return found
}

async function isLeft(path: string, blob: string): Promise<boolean> {
  if (!path.startsWith(`${blob}.`)) return false
  const digits = /^\.([0-9a-f]{32})\.incomplete$/.exec(path.slice(blob.length))?.[1]
  return digits !== undefined && (await isAbandoned(path, digits))
}

async function isOwnFile(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => null)
  return found?.isFile() === true && isOwn(found)
}
