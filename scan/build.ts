/** Builds the addon of search. It only makes search faster, so a missing compiler is reported in one line and is not an error. */
import { rmSync } from "node:fs"
import { createRequire } from "node:module"
import { UserError } from "../src/core/errors.ts"
import { type AddonFiles, builtAddon, isBuilt, sourceDigest } from "../src/native/addon.ts"
import { compileAddon } from "../src/native/cmake.ts"
import { scanAddon } from "./paths.ts"

type Log = (line: string) => void

/** Whether the addon that is loaded was built from these sources, and loads. */
export function isScanAddonBuilt(): boolean {
  const built = builtAddon(scanAddon)
  return built !== null && isBuilt(built, stamp()) && loads(built)
}

/** @param force builds it again where it is built already */
export async function buildScanAddon(target: AddonFiles, force: boolean, log: Log): Promise<void> {
  if (!force && isScanAddonBuilt()) return log("search addon: up to date")
  try {
    await compileAddon({ name: "search addon", addon: scanAddon, target, definitions: {}, stamp: stamp(), log })
    log("search addon: compiled")
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    rmSync(target.file, { force: true })
    log(`search will use WebAssembly, several times slower: ${error.message} (${error.hint})`)
  }
}

function loads({ file }: AddonFiles): boolean {
  try {
    createRequire(import.meta.url)(file)
    return true
  } catch {
    return false
  }
}

function stamp(): string {
  return `${sourceDigest(scanAddon)} ${process.platform} ${process.arch}`
}
