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

export interface AddonFiles {
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
export function builtAddon(addon: Addon, env = process.env): AddonFiles | null {
  const built = [packageFiles(addon), cacheFiles(addon, env)].filter(({ file }) => existsSync(file))
  const [first = null, second] = built
  return first && second && timeOf(second) > timeOf(first) ? second : first
}

/** Where the addon is to be built. */
export function addonToBuild(addon: Addon, env = process.env, canWrite = isWritable): AddonFiles {
  const built = packageFiles(addon)
  const existing = existsSync(built.folder) ? built.folder : addon.sourceFolder
  return canWrite(existing) ? built : cacheFiles(addon, env)
}

/** Whether what lies there was built of and for just this. */
export function isBuilt({ file, stampFile }: AddonFiles, stamp: string): boolean {
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

function packageFiles({ module, sourceFolder }: Addon): AddonFiles {
  return filesIn(join(sourceFolder, "build"), module)
}

function cacheFiles(addon: Addon, env: NodeJS.ProcessEnv): AddonFiles {
  const key = `${addon.module}-${process.platform}-${process.arch}-${sourceDigest(addon).slice(0, 16)}`
  return filesIn(join(ownCacheDir(env), "addons", key), addon.module)
}

function filesIn(folder: string, module: string): AddonFiles {
  return { folder, file: join(folder, `${module}.node`), stampFile: join(folder, "stamp") }
}

function timeOf({ file }: AddonFiles): number {
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
