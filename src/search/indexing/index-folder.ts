/** Where a user's index is, if nobody says. */
import { homedir } from "node:os"
import { join, resolve } from "node:path"

/** `MOBILECLIP_INDEX`, else `mobileclip/index` in the folder where programs of this system keep a user's data. */
export function defaultIndexFolder(env = process.env, platform = process.platform, home = homedir()): string {
  if (env.MOBILECLIP_INDEX) return resolve(env.MOBILECLIP_INDEX)
  return join(dataFolder(env, platform, home), "mobileclip", "index")
}

function dataFolder(env: NodeJS.ProcessEnv, platform: NodeJS.Platform, home: string): string {
  if (env.XDG_DATA_HOME) return env.XDG_DATA_HOME
  if (platform === "darwin") return join(home, "Library", "Application Support")
  if (platform === "win32") return env.LOCALAPPDATA ?? join(home, "AppData", "Local")
  return join(home, ".local", "share")
}
