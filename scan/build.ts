/** Builds the addon of search; without it WebAssembly searches. */
import type { AddonFiles } from "../src/native/addon.ts"
import { buildOptionalAddon, isOptionalAddonBuilt } from "../src/native/optional-addon.ts"
import { scanAddon } from "./paths.ts"

const scan = {
  name: "search addon",
  addon: scanAddon,
  without: "search will use WebAssembly, several times slower",
} as const

/** Whether the addon that is loaded was built from these sources, and loads. */
export function isScanAddonBuilt(): boolean {
  return isOptionalAddonBuilt(scan)
}

/** @param force builds it again where it is built already */
export function buildScanAddon(target: AddonFiles, force: boolean, log: (line: string) => void): Promise<void> {
  return buildOptionalAddon(scan, target, { force, log })
}
