/**
 * Where an addon is built, and where it is loaded from: in the package, or in this user's cache where the
 * package is read-only. The cache's folder is named after the addon's sources, so every version of the package finds its own.
 * The addons speak Node-API: one build fits every Node.
 */
import { createHash } from "node:crypto"
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { EnvironmentError } from "../core/errors.ts"
import { ownCacheDir } from "./own-cache.ts"

export interface Addon {
  /** The name of its file, without ".node", and of its target in CMake. */
  readonly module: string
  /** The folder with CMakeLists.txt. */
  readonly sourceFolder: string
}

export interface AddonFiles {
  readonly folder: string
  /** The addon. */
  readonly file: string
  /** Holds what it was built from and for; written after it. */
  readonly stampFile: string
}

/** What builds the addons, for hints. */
export const setupCommand = "npx mobileclip setup"

/** Whether what was built for one version of a library runs on the other: patch releases are compatible, "2.13.0+cpu" and "2.13.1". */
export function isCompatible(built: string, running: string): boolean {
  const [first, second] = [built, running].map((version) => version.split(".").slice(0, 2).join("."))
  return first === second
}

/** @param url of a module in the addon's folder, as TypeScript or below `dist/` */
export function addonBeside(url: string, module: string): Addon {
  const here = dirname(fileURLToPath(url))
  return { module, sourceFolder: existsSync(join(here, "CMakeLists.txt")) ? here : join(here, "../..", module) }
}

/** The addon to load: the newer one where it was built in both places. Null where it is not built. */
export function builtAddon(addon: Addon, env = process.env): AddonFiles | null {
  const built = [packageFiles(addon), ...cacheFilesIfAny(addon, env)].filter(({ file }) => existsSync(file))
  const [first = null, second] = built
  return first && second && timeOf(second) > timeOf(first) ? second : first
}

/** Where the addon is to be built. */
export function addonToBuild(addon: Addon, env = process.env, canWrite = isWritable): AddonFiles {
  const inPackage = packageFiles(addon)
  const existing = existsSync(inPackage.folder) ? inPackage.folder : addon.sourceFolder
  return canWrite(existing) ? inPackage : cacheFiles(addon, env)
}

/** Whether the addon was built from and for exactly this. */
export function isBuilt({ file, stampFile }: AddonFiles, stamp: string): boolean {
  return existsSync(file) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp
}

/** A digest of everything that is compiled. */
export function sourceDigest({ sourceFolder }: Addon): string {
  const hash = createHash("sha256")
  const names = (readdirSync(join(sourceFolder, "src"), { recursive: true }) as string[])
    .map((name) => join("src", name))
    .filter((name) => statSync(join(sourceFolder, name)).isFile())
  for (const name of ["CMakeLists.txt", ...names.sort()]) {
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

/** None for a user without a home folder: what is in the package is found all the same. */
function cacheFilesIfAny(addon: Addon, env: NodeJS.ProcessEnv): AddonFiles[] {
  try {
    return [cacheFiles(addon, env)]
  } catch (error) {
    if (error instanceof EnvironmentError) return []
    throw error
  }
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
