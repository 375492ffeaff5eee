/**
 * Builds the JPEG addon where it is missing or no longer fits: `node dist/jpeg/build.js`, part of `npm run build`. It
 * only makes decoding faster, so where libjpeg-turbo or a compiler is missing, that is one line and no error.
 */
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { messageOf, UserError } from "../src/core/errors.ts"
import { canInstall, installer, installPackages, updateLists } from "../torch/apt.ts"
import { compileAddon } from "../torch/cmake.ts"
import { addonFile, buildFolder, sourceFolder } from "./paths.ts"

type Log = (line: string) => void

/** libjpeg-turbo on Debian and on Ubuntu. */
const developmentPackage = "libjpeg-dev"

export function buildJpegAddon(log: Log): void {
  const stamp = fingerprint()
  if (isBuilt(stamp)) {
    log("JPEG addon: up to date")
    return
  }
  try {
    compileOrInstall(log)
    writeFileSync(stampFile, stamp)
    log("JPEG addon: compiled")
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    rmSync(addonFile, { force: true })
    log(`JPEG files will be decoded by sharp, three times slower: ${error.message} (${error.hint})`)
  }
}

const stampFile = join(buildFolder, "stamp")

/** Built of these sources, and for a library that is still there. */
function isBuilt(stamp: string): boolean {
  return existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp && loads()
}

function loads(): boolean {
  try {
    createRequire(import.meta.url)(addonFile)
    return true
  } catch {
    return false
  }
}

function fingerprint(): string {
  const hash = createHash("sha256").update(process.arch)
  const sources = readdirSync(join(sourceFolder, "src")).map((name) => join("src", name))
  for (const name of ["CMakeLists.txt", ...sources.sort()]) {
    hash.update(name).update(readFileSync(join(sourceFolder, name)))
  }
  return hash.digest("hex")
}

/** A second try where the library may just have been missing. */
function compileOrInstall(log: Log): void {
  try {
    compile()
  } catch (error) {
    if (!(error instanceof UserError) || !canInstall() || !/JPEG|jpeglib/.test(buildLog())) throw error
    install(log)
    compile()
  }
}

function compile(): void {
  rmSync(logFile, { force: true })
  const name = "the JPEG addon"
  compileAddon({ name, sourceFolder, module: "jpeg", buildFolder, addonFile, definitions: {} })
}

const logFile = join(buildFolder, "build.log")

function buildLog(): string {
  return existsSync(logFile) ? readFileSync(logFile, "utf8") : ""
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

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  buildJpegAddon((line) => console.log(line))
}
