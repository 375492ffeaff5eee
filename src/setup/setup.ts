/** What `mobileclip setup` does: builds the addons that training needs and that make pictures decode faster. */
import { setTimeout as sleep } from "node:timers/promises"
import { buildJpegAddon, isJpegAddonBuilt } from "../../jpeg/build.ts"
import { jpegAddon } from "../../jpeg/paths.ts"
import { blasText } from "../../torch/blas.ts"
import { buildTorchAddon, isTorchAddonReady } from "../../torch/build.ts"
import { torchAddon } from "../../torch/paths.ts"
import { fileError } from "../host/file-error.ts"
import { InUse, type Lock, lockFolder } from "../host/lock.ts"
import { type Addon, builtPlace, type Place, placeToBuild } from "../native/addon.ts"

export interface SetupOptions {
  /** Builds what is built, too. */
  readonly force?: boolean
  /** Told what is going to be done before it is, and how far it is. */
  readonly log: (line: string) => void
}

/**
 * Builds the addons where they are missing or no longer fit, in the package, or in this user's cache where the package may
 * not be written to. libtorch is found, or the distribution's is installed. What is there already is used until its
 * successor is complete; of several processes one builds, and the others wait for it.
 *
 * @throws UserError when libtorch, CMake or a compiler is missing, or the build fails
 */
export async function setUp({ force = false, log }: SetupOptions): Promise<void> {
  if (!force && isJpegAddonBuilt()) log("JPEG addon: up to date")
  else await locked(jpegAddon, log, (place) => buildJpegAddon(place, force, log))
  if (!force && isTorchAddonReady(log)) log("libtorch addon: up to date")
  else await locked(torchAddon, log, (place) => buildTorchAddon(place, force, log))
  const place = builtPlace(torchAddon)
  if (place) log(`matrix products: ${blasText(place.file)}`)
}

async function locked(addon: Addon, log: SetupOptions["log"], build: (place: Place) => Promise<void>): Promise<void> {
  const place = placeToBuild(addon)
  using _ = await lockWhenFree(place.folder, log)
  try {
    await build(place)
  } catch (error) {
    throw fileError(error, "writing", place.folder)
  }
}

async function lockWhenFree(folder: string, log: SetupOptions["log"]): Promise<Lock> {
  for (let said = false; ; said = true) {
    try {
      return await lockFolder(folder, "mobileclip setup")
    } catch (error) {
      if (!(error instanceof InUse && error.ends)) throw error
      if (!said) log(`waiting: ${error.message}`)
      await sleep(500)
    }
  }
}
