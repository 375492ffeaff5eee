/**
 * Builds the JPEG addon. It only makes decoding faster, so a missing libjpeg-turbo or compiler is reported in one line and
 * is not an error.
 */
import { existsSync, readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { messageOf, UserError } from "../src/core/errors.ts"
import { type AddonFiles, builtAddon, isBuilt, sourceDigest } from "../src/native/addon.ts"
import { canInstall, installer, installPackages, updateLists } from "../src/native/apt.ts"
import { compileAddon } from "../src/native/cmake.ts"
import { jpegAddon } from "./paths.ts"

type Log = (line: string) => void

/** libjpeg-turbo on Debian and on Ubuntu. */
const developmentPackage = "libjpeg-dev"

/** Whether the addon that is loaded was built from these sources, and for a library that is still there. */
export function isJpegAddonBuilt(): boolean {
  const built = builtAddon(jpegAddon)
  return built !== null && isBuilt(built, stamp()) && loads(built)
}

/** @param force builds it again where it is built already */
export async function buildJpegAddon(target: AddonFiles, force: boolean, log: Log): Promise<void> {
  if (!force && isJpegAddonBuilt()) return log("JPEG addon: up to date")
  try {
    await compileOrInstall(target, log)
    log("JPEG addon: compiled")
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    rmSync(target.file, { force: true })
    log(`JPEG files will be decoded by sharp, three times slower: ${error.message} (${error.hint})`)
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
  return `${sourceDigest(jpegAddon)} ${process.platform} ${process.arch}`
}

/** A second try where the library may just have been missing. */
async function compileOrInstall(target: AddonFiles, log: Log): Promise<void> {
  try {
    await compile(target, log)
  } catch (error) {
    if (!(error instanceof UserError) || !canInstall() || !/JPEG|jpeglib/.test(buildLog(target))) throw error
    install(log)
    await compile(target, log)
  }
}

async function compile(target: AddonFiles, log: Log): Promise<void> {
  rmSync(logFile(target), { force: true })
  await compileAddon({ name: "JPEG addon", addon: jpegAddon, target, definitions: {}, stamp: stamp(), log })
}

function logFile({ folder }: AddonFiles): string {
  return join(folder, "build.log")
}

function buildLog(target: AddonFiles): string {
  return existsSync(logFile(target)) ? readFileSync(logFile(target), "utf8") : ""
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
