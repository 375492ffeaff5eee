/** Installs what the distribution has: libtorch where there is none, and a fast BLAS for the system's libtorch. */
import { existsSync, realpathSync } from "node:fs"
import { join } from "node:path"
import { messageOf, UserError } from "../src/core/errors.ts"
import { canInstall, downloadSize, installer, installPackages, updateLists } from "../src/native/apt.ts"
import { findLibtorch, type Libtorch } from "./find.ts"

/** Debian's libtorch multiplies matrices through libblas.so.3; where that is the reference BLAS, it is many times slower. */
const fastBlas = "libopenblas0-openmp"
const packages = ["libtorch-dev", fastBlas]
const waysToGetIt =
  "any of these is enough: apt-get install libtorch-dev; brew install pytorch; pip install torch; " +
  "or LIBTORCH=/path/to/libtorch (the unpacked zip from pytorch.org)"

/** What `installLibtorch` would do, or what else can be done where it cannot. */
export function howToInstallLibtorch(): string {
  return canInstall() ? `${installer()} install ${packages.join(" ")}` : waysToGetIt
}

/**
 * @param log told what is going to be installed before it is
 * @throws UserError listing the ways to get a libtorch, where apt-get cannot be used or does not bring one
 */
export function installLibtorch(log: (line: string) => void): Libtorch {
  if (!canInstall()) throw noLibtorch("libtorch was not found, and apt-get cannot be used to install it")
  log(`libtorch was not found: installing the distribution's ${packages.join(" and ")} with ${installer()}`)
  try {
    updateLists()
    log(`${packages.join(", ")}: ${downloadSize(packages)}`)
    installPackages(packages)
  } catch (error) {
    throw noLibtorch(`libtorch was not found, and ${messageOf(error)}`)
  }
  const libtorch = findLibtorch()
  if (!libtorch) throw noLibtorch("libtorch-dev was installed, but no libtorch is found")
  return libtorch
}

/** Gives the system's libtorch OpenBLAS where it has the reference BLAS; where that is impossible, says what to do. */
export function ensureFastBlas({ origin, lib }: Libtorch, log: (line: string) => void): void {
  if (origin !== "the system's" || !hasReferenceBlas(lib)) return
  const problem =
    "this libtorch multiplies matrices with the reference BLAS, which makes training about 2.5 times slower"
  if (!canInstall()) {
    log(`${problem}: apt-get install ${fastBlas}`)
    return
  }
  log(`${problem}: installing the distribution's ${fastBlas} with ${installer()}`)
  try {
    updateLists()
    installPackages([fastBlas])
  } catch (error) {
    log(`training will be slow, for ${messageOf(error)}`)
  }
}

/** Debian's alternatives point libblas.so.3 at .../blas/libblas.so.3.* for the reference, .../openblas-*\/ for OpenBLAS. */
function hasReferenceBlas(lib: string): boolean {
  const library = join(lib, "libblas.so.3")
  return existsSync(library) && /\/blas\/libblas\.so/.test(realpathSync(library))
}

function noLibtorch(message: string): UserError {
  return new UserError(message, waysToGetIt)
}
