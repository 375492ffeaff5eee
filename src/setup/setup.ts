/** What `mobileclip setup` does: builds the addons that training needs and that make decoding of pictures and search faster. */
import { setTimeout as sleep } from "node:timers/promises"
import { buildJpegAddon, isJpegAddonBuilt } from "../../jpeg/build.ts"
import { jpegAddon } from "../../jpeg/paths.ts"
import { buildScanAddon, isScanAddonBuilt } from "../../scan/build.ts"
import { scanAddon } from "../../scan/paths.ts"
import { blasText } from "../../torch/blas.ts"
import { buildTorchAddon, isTorchAddonReady } from "../../torch/build.ts"
import { torchAddon } from "../../torch/paths.ts"
import { fileError } from "../host/files/file-error.ts"
import { InUseError, type Lock, lockFolder } from "../host/locks/lock.ts"
import { type Addon, type AddonFiles, addonToBuild, builtAddon } from "../native/addon.ts"

interface SetupOptions {
  /** Also builds what is built already. */
  readonly force?: boolean
  /** Is told each step before it is done, and how far it is. */
  readonly log: (line: string) => void
}

/**
 * Builds the addons where they are missing or no longer fit, in the package, or in this user's cache where the package is
 * read-only. libtorch is found, or the distribution's is installed. An existing addon is used until its successor is
 * complete; where several processes do this, one builds and the others wait.
 *
 * @throws UserError when libtorch, CMake or a compiler is missing, or the build fails
 */
export async function setUp({ force = false, log }: SetupOptions): Promise<void> {
  if (!force && isJpegAddonBuilt()) log("JPEG addon: up to date")
  else await locked(jpegAddon, log, (target) => buildJpegAddon(target, force, log))
  if (!force && isScanAddonBuilt()) log("search addon: up to date")
  else await locked(scanAddon, log, (target) => buildScanAddon(target, force, log))
  if (!force && isTorchAddonReady(log)) log("libtorch addon: up to date")
  else await locked(torchAddon, log, (target) => buildTorchAddon(target, force, log))
  const built = builtAddon(torchAddon)
  if (built) log(`matrix products: ${blasText(built.file)}`)
}

async function locked(
  addon: Addon,
  log: SetupOptions["log"],
  build: (target: AddonFiles) => Promise<void>,
): Promise<void> {
  const target = addonToBuild(addon)
  using _ = await lockWhenFree(target.folder, log)
  try {
    await build(target)
  } catch (error) {
    throw fileError(error, "writing", target.folder)
  }
}

async function lockWhenFree(folder: string, log: SetupOptions["log"]): Promise<Lock> {
  for (let said = false; ; said = true) {
    try {
      return await lockFolder(folder, "mobileclip setup")
    } catch (error) {
      if (!(error instanceof InUseError && error.ends)) throw error
      if (!said) log(`waiting: ${error.message}`)
      await sleep(500)
    }
  }
}
