/** What a browser gives to fetch and keep files; tests give others. Null stands for what this page does not have. */

import { pageUrl } from "../page-url.ts"

export interface WebHost {
  readonly fetch: typeof fetch
  /** What relative addresses are relative to. */
  readonly baseUrl: string
  readonly digest: ((bytes: BufferSource) => Promise<ArrayBuffer>) | null
  /** Older browsers have a part of it. */
  readonly storage: Partial<Pick<StorageManager, "getDirectory" | "estimate">> | null
  readonly caches: Pick<CacheStorage, "open"> | null
  readonly locks: Pick<LockManager, "request"> | null
  isOnline(): boolean
  wait(milliseconds: number): Promise<void>
}

/** Pages that are not secure (neither https nor localhost) have no digests, no storage and no locks. */
export function browserHost(): WebHost {
  const { crypto, navigator } = globalThis
  const { subtle = null } = crypto as { subtle?: SubtleCrypto | null }
  return {
    fetch: globalThis.fetch.bind(globalThis),
    baseUrl: pageUrl(),
    digest: subtle && ((bytes) => subtle.digest("SHA-256", bytes)),
    storage: navigator.storage ?? null,
    caches: orNull(() => globalThis.caches),
    locks: navigator.locks ?? null,
    isOnline: () => navigator.onLine !== false,
    wait: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
  }
}

/** In frames without an origin of their own, reading it throws. */
function orNull<T>(read: () => T | undefined): T | null {
  try {
    return read() ?? null
  } catch {
    return null
  }
}

export async function sha256({ digest }: WebHost, bytes: BufferSource): Promise<string | null> {
  if (!digest) return null
  return [...new Uint8Array(await digest(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("")
}

/** One at a time among all tabs of this origin. Where a browser has no locks, two may fetch the same. */
export function exclusively<T>(
  { locks }: WebHost,
  name: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (!locks) return work()
  return locks.request(`mobileclip ${name}`, signal ? { signal } : {}, work) as Promise<T>
}
