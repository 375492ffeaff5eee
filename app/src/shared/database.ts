/** What this browser keeps for the page, beside models: vectors of pictures, and groups of Teach. Never needed. */

const name = "mobileclip-page"
const stores = ["vectors", "states"] as const
type StoreName = (typeof stores)[number]

let opened: Promise<IDBDatabase> | null = null

function open(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1)
    request.onupgradeneeded = () => {
      for (const store of stores) request.result.createObjectStore(store)
    }
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  return opened
}

async function inStore<T>(store: StoreName, mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>) {
  const database = await open()
  return new Promise<T>((resolve, reject) => {
    const request = ask(database.transaction(store, mode).objectStore(store))
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Undefined where it is not kept, or where this browser keeps nothing. */
export async function kept<T>(store: StoreName, key: string): Promise<T | undefined> {
  return inStore<T>(store, "readonly", (all) => all.get(key)).catch(() => undefined)
}

/** Whether it could be kept. */
export async function keep(store: StoreName, key: string, value: unknown): Promise<boolean> {
  return inStore(store, "readwrite", (all) => all.put(value, key)).then(
    () => true,
    () => false,
  )
}

export async function countKept(store: StoreName): Promise<number> {
  return inStore(store, "readonly", (all) => all.count()).catch(() => 0)
}

export async function forget(store: StoreName, key: string): Promise<void> {
  await inStore(store, "readwrite", (all) => all.delete(key)).catch(() => undefined)
}

export async function clearKept(store: StoreName): Promise<void> {
  await inStore(store, "readwrite", (all) => all.clear()).catch(() => undefined)
}

/** SHA-256 in hexadecimal; null where a page without https has no digests. */
export async function digestOf(file: Blob): Promise<string | null> {
  if (!crypto.subtle) return null
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")
}
