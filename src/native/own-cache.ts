/** The folder of this program's own cache. */
import { homedir } from "node:os"
import { join, resolve } from "node:path"

export function ownCacheDir(env: Readonly<Record<string, string | undefined>>): string {
  return join(expandHome(env.XDG_CACHE_HOME || join(homedir(), ".cache")), "mobileclip")
}

/** `~/x` -> `/home/me/x`; absolute in any case. */
export function expandHome(path: string): string {
  return resolve(path.replace(/^~(?=$|[/\\])/, homedir()))
}
