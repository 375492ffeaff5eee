/**
 * Where an addon is built, and where it is loaded from: in the package, or in this user's cache where nobody may write to
 * the package. The cache's folder is named after the addon's sources, so every version of the package finds its own.
 * The addons speak Node-API: one build fits every Node.
 */
import { createHash } from "node:crypto"
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { ownCacheDir } from "./own-cache.ts"

export interface Addon {
  /** Of its file, without ".node", and of its target in CMake. */
  readonly module: string
  /** The folder with CMakeLists.txt. */
  readonly sourceFolder: string
}

export interface Place {
  readonly folder: string
  /** The addon. */
  readonly file: string
  /** What it was built of and for; written after it. */
  readonly stampFile: string
}

/** What builds the addons, for hints. */
export const setupCommand = "npx mobileclip setup"

/** @param url of a module in the addon's folder, as TypeScript or below `dist/` */
export function addonBeside(url: string, module: string): Addon {
  const here = dirname(fileURLToPath(url))
  return { module, sourceFolder: existsSync(join(here, "CMakeLists.txt")) ? here : join(here, "../..", module) }
}

/** The file to load: of two the newer one. null: it is not built. */
export function builtPlace(addon: Addon, env = process.env): Place | null {
  const built = [packagePlace(addon), cachePlace(addon, env)].filter(({ file }) => existsSync(file))
  const [first = null, second] = built
  return first && second && timeOf(second) > timeOf(first) ? second : first
}

/** Where the addon is to be built. */
export function placeToBuild(addon: Addon, env = process.env, canWrite = isWritable): Place {
  const place = packagePlace(addon)
  const existing = existsSync(place.folder) ? place.folder : addon.sourceFolder
  return canWrite(existing) ? place : cachePlace(addon, env)
}

/** Whether what lies there was built of and for just this. */
export function isBuilt({ file, stampFile }: Place, stamp: string): boolean {
  return existsSync(file) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp
}

/** Of everything that is compiled. */
export function sourceDigest({ sourceFolder }: Addon): string {
  const hash = createHash("sha256")
  const sources = readdirSync(join(sourceFolder, "src")).map((name) => `src/${name}`)
  for (const name of ["CMakeLists.txt", ...sources.sort()]) {
    hash.update(name).update(readFileSync(join(sourceFolder, name)))
  }
  return hash.digest("hex")
}

function packagePlace({ module, sourceFolder }: Addon): Place {
  return placeIn(join(sourceFolder, "build"), module)
}

function cachePlace(addon: Addon, env: NodeJS.ProcessEnv): Place {
  const key = `${addon.module}-${process.platform}-${process.arch}-${sourceDigest(addon).slice(0, 16)}`
  return placeIn(join(ownCacheDir(env), "addons", key), addon.module)
}

function placeIn(folder: string, module: string): Place {
  return { folder, file: join(folder, `${module}.node`), stampFile: join(folder, "stamp") }
}

function timeOf({ file }: Place): number {
  return statSync(file).mtimeMs
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}
