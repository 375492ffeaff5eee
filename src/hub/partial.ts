/**
 * A download that is not complete yet: a file beside the blob that belongs to one process at a time.
 *
 * While it is written it carries its owner's name; when the owner stops, it is renamed to a name that the next one may
 * take. Renaming is atomic, so of two pulls of one file only one goes on with it and the other starts its own: neither
 * waits, neither can harm the other, and a killed process blocks nobody. The name `<etag>.incomplete` of other tools is
 * left alone, since they may be writing to it.
 */
import { createHash, type Hash, randomBytes } from "node:crypto"
import { createReadStream } from "node:fs"
import { type FileHandle, open, readdir, rename, rm, stat } from "node:fs/promises"
import { hostname } from "node:os"
import { basename, dirname, join } from "node:path"
import { makeDirectory } from "../host/files.ts"
import type { RemoteFile } from "./repository.ts"

const host = createHash("sha256").update(hostname()).digest("hex").slice(0, 8)

/** A live download writes at least once a minute, or fails. */
const abandonedAfterMs = 24 * 3600 * 1000

export class Partial implements AsyncDisposable {
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
  static async open(file: RemoteFile, blob: string): Promise<Partial> {
    await makeDirectory(dirname(blob))
    const own = `${blob}.${host}-${process.pid}-${randomBytes(4).toString("hex")}.incomplete`
    for (const name of await abandoned(blob)) {
      if (await rename(name, own).then(...yesOrNo)) break
    }
    const partial = new Partial(file, blob, own, await open(own, "a"))
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

  /** Of everything in the file, in the form of the file's etag. Ends the hash. */
  digest(): string {
    return this.hash.digest("hex")
  }

  /** Gives the file its final name. */
  async complete(): Promise<void> {
    await this.handle.sync()
    await rename(this.path, this.blob)
  }

  async discard(): Promise<void> {
    await rm(this.path, { force: true })
  }

  /** What is neither complete nor discarded is left for the next one. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close()
    if (this.length === 0) await this.discard()
    else await rename(this.path, released(this.blob)).then(...yesOrNo)
  }

  private async readExisting(): Promise<void> {
    const { size } = await stat(this.path)
    if (size > this.file.size) return this.clear()
    for await (const bytes of createReadStream(this.path)) this.hash.update(bytes)
    this.length = size
  }
}

const yesOrNo = [() => true, () => false] as const

function released(blob: string): string {
  return `${blob}.mobileclip.incomplete`
}

/** git hashes the kind and length of a file in front of its contents. */
function newHash({ checksum, size }: RemoteFile): Hash {
  return checksum === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`)
}

/** Unfinished files of the blob that no process writes. */
async function abandoned(blob: string): Promise<string[]> {
  const folder = dirname(blob)
  const found = [released(blob)]
  for (const name of await readdir(folder)) {
    const owner = name.startsWith(`${basename(blob)}.`) && ownerOf(name.slice(basename(blob).length))
    if (owner && (await isGone(owner, join(folder, name)))) found.push(join(folder, name))
  }
  return found
}

function ownerOf(suffix: string): { host: string; process: number } | null {
  const match = /^\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.incomplete$/.exec(suffix)
  return match ? { host: match[1]!, process: Number(match[2]) } : null
}

async function isGone(owner: { host: string; process: number }, path: string): Promise<boolean> {
  if (owner.host === host && !isRunning(owner.process)) return true
  const modified = (await stat(path).catch(() => null))?.mtimeMs ?? Date.now()
  return Date.now() - modified > abandonedAfterMs
}

function isRunning(process_: number): boolean {
  try {
    return process.kill(process_, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}
