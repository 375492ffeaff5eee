/** Where downloaded models lie, and what the environment says of the hub. A token is never shown. */
import { existsSync } from "node:fs"
import { statfs } from "node:fs/promises"
import { dirname } from "node:path"
import { defaultCacheDir, type Environment, type HubSettings, hubSettings } from "../hub/settings.ts"
import { type Check, checksOf } from "./check.ts"

const { ok, warning, failed } = checksOf("Model hub")

export async function hubChecks(env: Environment = process.env): Promise<Check[]> {
  const cache = await cacheCheck(defaultCacheDir(env))
  try {
    return [cache, ...settingsChecks(await hubSettings({}, env))]
  } catch (error) {
    return [cache, failed("settings", error)]
  }
}

/** A download of the largest models. */
const ENOUGH = 2 * 2 ** 30

async function cacheCheck(folder: string): Promise<Check> {
  const { bavail, bsize } = await statfs(nearestExisting(folder))
  const facts = { folder, freeBytes: bavail * bsize }
  const text = `${folder}, ${((bavail * bsize) / 2 ** 30).toFixed(1)} GiB free`
  if (bavail * bsize >= ENOUGH) return ok("cache", text, { facts })
  return warning("cache", text, { fix: "the larger models take 2 GB: free some space, or set HF_HOME", facts })
}

function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path))
}

function settingsChecks({ endpoint, offline, tokenSource }: HubSettings): Check[] {
  return [
    ok("endpoint", endpoint, { facts: { endpoint } }),
    offline
      ? warning("downloads", "not allowed: HF_HUB_OFFLINE is set", {
          fix: "unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE to download models",
          facts: { offline },
        })
      : ok("downloads", "allowed", { facts: { offline } }),
    ok("token", tokenSource ? `found (${tokenSource})` : "none; public models need none", { facts: { tokenSource } }),
  ]
}
