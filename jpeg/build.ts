/** Builds the JPEG addon, and installs libjpeg-turbo where that may be what is missing; without the addon sharp decodes. */
import { existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { messageOf, UserError } from "../src/core/errors.ts"
import type { AddonFiles } from "../src/native/addon.ts"
import { canInstall, installer, installPackages, updateLists } from "../src/native/apt.ts"
import { buildOptionalAddon, compileOptionalAddon, isOptionalAddonBuilt } from "../src/native/optional-addon.ts"
import { jpegAddon } from "./paths.ts"

type Log = (line: string) => void

const jpeg = {
  name: "JPEG addon",
  addon: jpegAddon,
  without: "JPEG files will be decoded by sharp, three times slower",
} as const

/** libjpeg-turbo on Debian and on Ubuntu. */
const developmentPackage = "libjpeg-dev"

/** Whether the addon that is loaded was built from these sources, and for a library that is still there. */
export function isJpegAddonBuilt(): boolean {
  return isOptionalAddonBuilt(jpeg)
}

/** @param force builds it again where it is built already */
export function buildJpegAddon(target: AddonFiles, force: boolean, log: Log): Promise<void> {
  return buildOptionalAddon(jpeg, target, { force, log }, () => compileOrInstall(target, log))
}

/** A second try where the library may just have been missing. */
async function compileOrInstall(target: AddonFiles, log: Log): Promise<void> {
  const logFile = join(target.folder, "build.log")
  rmSync(logFile, { force: true })
  try {
    await compileOptionalAddon(jpeg, target, log)
  } catch (error) {
    const output = existsSync(logFile) ? readFileSync(logFile, "utf8") : ""
    if (!(error instanceof UserError) || !canInstall() || !/JPEG|jpeglib/.test(output)) throw error
    install(log)
    await compileOptionalAddon(jpeg, target, log)
  }
}

function install(log: Log): void {
  log(`libjpeg-turbo was not found: installing the distribution's ${developmentPackage} with ${installer()}`)
  try {
    updateLists()
    installPackages([developmentPackage])
  } catch (error) {
    const hint = `apt-get install ${developmentPackage}, or brew install jpeg-turbo`
    throw new UserError(`libjpeg-turbo was not found, and ${messageOf(error)}`, hint, { cause: error })
  }
}
