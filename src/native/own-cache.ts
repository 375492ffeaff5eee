/** The folder of this program's own cache. */
import { homedir } from "node:os"
import { join, resolve } from "node:path"
import { EnvironmentError } from "../core/errors.ts"

/** Throws EnvironmentError where the user has no home folder, and no variable names one. */
export function ownCacheDir(env: Readonly<Record<string, string | undefined>>): string {
  return join(expandHome(env.XDG_CACHE_HOME || join(homeFolder(), ".cache")), "mobileclip")
}

/** In containers, a user may be a number that no file names. Throws EnvironmentError where nothing says the folder. */
export function homeFolder(): string {
  try {
    return homedir()
  } catch (cause) {
    const hint = "set HOME, or XDG_CACHE_HOME, to a folder that may be written"
    throw new EnvironmentError("this user has no home folder, where the cache would be", hint, { cause })
  }
}

/** `~/x` -> `/home/me/x`; absolute in any case. */
export function expandHome(path: string): string {
  return resolve(path.replace(/^~(?=$|[/\\])/, homeFolder))
}
