/** All that this origin keeps of models: found, listed, removed. */
import { KeptModel } from "./kept-model.ts"
import { openStore } from "./store.ts"
import { browserHost, sha256, type WebHost } from "./web-host.ts"

/** Null where this page can keep nothing. */
export async function keptModelOf(host: WebHost, address: string): Promise<KeptModel | null> {
  const digest = await sha256(host, new TextEncoder().encode(address))
  const store = digest && (await openStore(host))
  return store ? new KeptModel(host, store, digest.slice(0, 32)) : null
}

export interface CachedModel {
  /** The address of the model; null where only pieces of a download that ended early are left. */
  readonly source: string | null
  /** What it takes here. */
  readonly bytes: number
  readonly storage: "OPFS" | "Cache API"
}

/** The models whose files this browser keeps for this origin. */
export async function listCached(host: WebHost = browserHost()): Promise<CachedModel[]> {
  const store = await openStore(host)
  const folders = (await store?.folders()) ?? []
  return Promise.all(
    folders.map(async (folder) => {
      const kept = new KeptModel(host, store!, folder)
      const source = (await kept.listing())?.source ?? null
      return { source, bytes: await kept.size(), storage: store!.kind }
    }),
  )
}

/**
 * Removes what is kept of the models of `source`, as `listCached` names it; without one, of all. A model that is loaded goes on
 * computing: its weights are in memory.
 *
 * @returns how many bytes were freed
 */
export async function clearCache(source?: string, host: WebHost = browserHost()): Promise<number> {
  const store = await openStore(host)
  let freed = 0
  for (const folder of (await store?.folders()) ?? []) {
    const kept = new KeptModel(host, store!, folder)
    if (source !== undefined && (await kept.listing())?.source !== source) continue
    freed += await kept.size()
    await store!.removeFolder(folder)
  }
  return freed
}
