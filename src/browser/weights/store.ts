/**
 * Where a browser keeps bytes: the origin's private file system (OPFS), or the Cache API where that is missing. Values are
 * whole or absent, in folders of one level.
 */
import type { WebHost } from "./web-host.ts"

export interface Store {
  readonly kind: "OPFS" | "Cache API"
  get(folder: string, name: string): Promise<Blob | null>
  /** Throws a QuotaExceededError where there is no room. */
  put(folder: string, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  remove(folder: string, name: string): Promise<void>
  removeFolder(folder: string): Promise<void>
  folders(): Promise<string[]>
  names(folder: string): Promise<string[]>
}

const rootName = "mobileclip"

/** Null where this page can keep nothing: without https, or in some browsers' private windows. */
export async function openStore(host: WebHost): Promise<Store | null> {
  return (await openFileStore(host)) ?? (await openCacheStore(host))
}

export function isQuotaError(error: unknown): boolean {
  return error instanceof Error && error.name === "QuotaExceededError"
}

// ----------------------------------------------------------------------------------------------------------- OPFS

/** Null, too, on the page of a browser where workers alone write files. */
async function openFileStore({ storage }: WebHost): Promise<Store | null> {
  try {
    const top = await storage?.getDirectory?.()
    const root = await top?.getDirectoryHandle(rootName, { create: true })
    if (!root) return null
    const probe = await root.getFileHandle(".probe", { create: true })
    return canWrite(probe) ? new FileStore(root) : null
  } catch (error) {
    if (isQuotaError(error) || isDenied(error)) return null
    throw error
  }
}

/** Safari has had the first from version 26 on, and the second, in workers, for longer. */
function canWrite(file: Partial<FileSystemFileHandle> & Partial<SyncFile>): boolean {
  return file.createWritable !== undefined || file.createSyncAccessHandle !== undefined
}

/** What workers have: not in the types of pages. */
interface SyncFile {
  createSyncAccessHandle(): Promise<{
    truncate(size: number): void
    write(bytes: Uint8Array): number
    flush(): void
    close(): void
  }>
}

class FileStore implements Store {
  readonly kind = "OPFS"

  constructor(private readonly root: FileSystemDirectoryHandle) {}

  async get(folder: string, name: string): Promise<Blob | null> {
    return nullWhereAbsent(async () => {
      const directory = await this.root.getDirectoryHandle(folder)
      return (await directory.getFileHandle(name)).getFile()
    })
  }

  async put(folder: string, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const directory = await this.root.getDirectoryHandle(folder, { create: true })
    const file = await directory.getFileHandle(name, { create: true })
    try {
      await ("createWritable" in file ? write(file, bytes) : writeAtOnce(file, bytes))
    } catch (error) {
      await this.remove(folder, name)
      throw error
    }
  }

  async remove(folder: string, name: string): Promise<void> {
    await nullWhereAbsent(async () => (await this.root.getDirectoryHandle(folder)).removeEntry(name))
  }

  async removeFolder(folder: string): Promise<void> {
    await nullWhereAbsent(() => this.root.removeEntry(folder, { recursive: true }))
  }

  async folders(): Promise<string[]> {
    const found: string[] = []
    for await (const [name, { kind }] of this.root.entries()) if (kind === "directory") found.push(name)
    return found
  }

  async names(folder: string): Promise<string[]> {
    const directory = await nullWhereAbsent(() => this.root.getDirectoryHandle(folder))
    const found: string[] = []
    for await (const name of directory?.keys() ?? []) found.push(name)
    return found
  }
}

async function write(file: FileSystemFileHandle, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const writable = await file.createWritable()
  try {
    await writable.write(bytes)
    await writable.close()
  } catch (error) {
    await writable.abort().catch(() => {})
    throw error
  }
}

async function writeAtOnce(file: SyncFile, bytes: Uint8Array): Promise<void> {
  const handle = await file.createSyncAccessHandle()
  try {
    handle.truncate(0)
    const written = handle.write(bytes)
    if (written < bytes.length) throw new DOMException("the file was written in part", "QuotaExceededError")
    handle.flush()
  } finally {
    handle.close()
  }
}

async function nullWhereAbsent<T>(find: () => Promise<T>): Promise<T | null> {
  try {
    return await find()
  } catch (error) {
    if (error instanceof Error && error.name === "NotFoundError") return null
    throw error
  }
}

/** Private windows have the functions, and refuse. */
function isDenied(error: unknown): boolean {
  return error instanceof Error && /^(SecurityError|NotAllowedError|UnknownError|InvalidStateError)$/.test(error.name)
}

// ------------------------------------------------------------------------------------------------------ Cache API

async function openCacheStore({ caches, baseUrl }: WebHost): Promise<Store | null> {
  try {
    return caches && new CacheStore(await caches.open(rootName), new URL(`/${rootName}-cache/`, baseUrl).href)
  } catch (error) {
    if (isQuotaError(error) || isDenied(error)) return null
    throw error
  }
}

class CacheStore implements Store {
  readonly kind = "Cache API"

  constructor(
    private readonly cache: Cache,
    /** Nothing is at this address: it names what is kept. */
    private readonly root: string,
  ) {}

  async get(folder: string, name: string): Promise<Blob | null> {
    return (await this.cache.match(this.addressOf(folder, name)))?.blob() ?? null
  }

  put(folder: string, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.cache.put(this.addressOf(folder, name), new Response(bytes))
  }

  async remove(folder: string, name: string): Promise<void> {
    await this.cache.delete(this.addressOf(folder, name))
  }

  async removeFolder(folder: string): Promise<void> {
    for (const name of await this.names(folder)) await this.remove(folder, name)
  }

  async folders(): Promise<string[]> {
    return [...new Set((await this.paths()).map(([folder]) => folder!))]
  }

  async names(wanted: string): Promise<string[]> {
    return (await this.paths()).filter(([folder]) => folder === wanted).map(([, name]) => name!)
  }

  private async paths(): Promise<string[][]> {
    const inRoot = (await this.cache.keys()).filter(({ url }) => url.startsWith(this.root))
    return inRoot.map(({ url }) => url.slice(this.root.length).split("/").map(decodeURIComponent))
  }

  private addressOf(folder: string, name: string): string {
    return `${this.root}${encodeURIComponent(folder)}/${encodeURIComponent(name)}`
  }
}
