/** The shard to read: what is missing may be the shard, or the share that it is on. */
import { readdir } from "node:fs/promises"
import { dirname } from "node:path"
import { EnvironmentError, isInputError, messageOf } from "../../core/errors.ts"
import { pathOf } from "../../data/stores/local.ts"
import { isLocal } from "../../data/stores/open.ts"
import type { LocalFile, Storage, TransferOptions } from "../../data/stores/storage.ts"

/**
 * @throws EnvironmentError where the folder of a local shard is missing or empty, as that of a share which is not mounted
 * @throws UserError where there is no such shard
 */
export async function fetchInput(storage: Storage, url: string, options: TransferOptions = {}): Promise<LocalFile> {
  try {
    return await storage.fetch(url, options)
  } catch (error) {
    if (!isInputError(error) || !(await isAway(url))) throw error
    throw new EnvironmentError(`${messageOf(error)}, and nothing else in its folder`, "is the share mounted here?", {
      cause: error,
    })
  }
}

async function isAway(url: string): Promise<boolean> {
  if (!isLocal(url)) return false
  const names = await readdir(dirname(pathOf(url))).catch(() => [])
  return names.length === 0
}
