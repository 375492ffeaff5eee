/**
 * The model that an index is of, or is to be of: its folder on this machine, and its identity by the weights. Where a folder has
 * no manifest, hashes of its files are kept in the user's cache.
 */
import { statSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { join, resolve } from "node:path"
import { modelIdentity } from "../../core/inference/teacher-identity.ts"
import { isObject } from "../../core/json.ts"
import type { ClipFolder } from "../../run/node.ts"
import { defaultCacheFolder, VectorCache } from "../../vector-cache/vector-cache.ts"

export interface FoundModel {
  readonly folder: ClipFolder
  readonly identity: string
}

/** This user's cache; null where there is no home folder for it. */
export function cacheOrNull(): VectorCache | null {
  try {
    return new VectorCache(defaultCacheFolder())
  } catch {
    return null
  }
}

/**
 * The folder of a model, whatever a user calls it, and its identity, as an index has it. Hashes are those of the manifest; where
 * there is none, files are read once, and their hashes kept as long as sizes and times are the same.
 *
 * @throws UserError where there is no such model on this machine
 */
export async function findIndexModel(
  given: string,
  cache: VectorCache | null = cacheOrNull(),
  onStage?: (text: string) => void,
): Promise<FoundModel> {
  const { namedDirectory } = await import("../../weights/model-directory.ts")
  const { readClipFolder } = await import("../../run/node.ts")
  const { directory, name } = await namedDirectory(given, { onStage })
  const folder = await readClipFolder(directory, { name })
  const identity = async () => modelIdentity(name, await folder.weights(), folder.description.preprocessing)
  if (folder.manifest || !cache) return { folder, identity: await identity() }
  return { folder, identity: await keptIdentity(cache, name, directory, identity) }
}

async function keptIdentity(cache: VectorCache, name: string, directory: string, make: () => Promise<string>) {
  const [key, state] = [["identity of a model 1", resolve(directory), name], await stateOf(directory)]
  const [known] = (await cache.records(key)) ?? []
  if (isObject(known) && known.state === state.text && typeof known.identity === "string") return known.identity
  const identity = await make()
  if (state.isSettled) await cache.storeRecords(key, [{ state: state.text, identity }])
  return identity
}

/** Clocks of file systems are coarse: a file may be written twice within one tick. */
const settledMilliseconds = 2000

async function stateOf(directory: string) {
  const names = (await readdir(directory, { recursive: true })).sort()
  const all = names.map((name) => ({
    name,
    stats: statSync(join(directory, name), { bigint: true, throwIfNoEntry: false }),
  }))
  const files = all.filter(({ stats }) => stats?.isFile())
  const newest = files.reduce((time, { stats }) => Math.max(time, Number(stats!.ctimeNs) / 1e6), 0)
  const text = files.map(
    ({ name, stats }) => `${name} ${stats!.size} ${stats!.mtimeNs} ${stats!.ctimeNs} ${stats!.ino}`,
  )
  return { text: text.join("\n"), isSettled: Date.now() - newest > settledMilliseconds }
}
