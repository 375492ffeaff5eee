/** Builds the libtorch addon; nothing but packages is downloaded (Node's headers come with npm). */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, realpathSync, statSync } from "node:fs"
import { join } from "node:path"
import { UserError } from "../src/core/errors.ts"
import { type AddonFiles, builtAddon, isBuilt, sourceDigest } from "../src/native/addon.ts"
import { compileAddon } from "../src/native/cmake.ts"
import { findLibtorch, type Libtorch } from "./find.ts"
import { ensureFastBlas, installLibtorch } from "./install.ts"
import { torchAddon } from "./paths.ts"

type Log = (line: string) => void

/** Whether the addon that is loaded was built of these sources for the libtorch that lies there now. */
export function isTorchAddonBuilt(libtorch: Libtorch): boolean {
  const built = builtAddon(torchAddon)
  return built !== null && isBuilt(built, stampOf(libtorch))
}

/** The same without a libtorch at hand; a system's that is slow becomes a fast one. */
export function isTorchAddonReady(log: Log): boolean {
  const libtorch = findLibtorch()
  if (!libtorch || !isTorchAddonBuilt(libtorch)) return false
  log(libtorchText(libtorch))
  ensureFastBlas(libtorch, log)
  return true
}

/** "libtorch 1.13.0, without CUDA (the system's: /usr/lib/x86_64-linux-gnu)" */
export function libtorchText({ version, cuda, origin, lib }: Libtorch): string {
  return `libtorch ${version}, ${cuda ? "with" : "without"} CUDA (${origin}: ${lib})`
}

/**
 * Finds libtorch or installs the distribution's, and builds the addon for it, unless it is built.
 *
 * @param force builds it in any case
 * @throws UserError when libtorch, CMake or a compiler is missing, or the build fails
 */
export async function buildTorchAddon(target: AddonFiles, force: boolean, log: Log): Promise<void> {
  const libtorch = findLibtorch() ?? installLibtorch(log)
  log(libtorchText(libtorch))
  ensureFastBlas(libtorch, log)
  if (!force && isTorchAddonBuilt(libtorch)) return log("libtorch addon: up to date")
  const start = performance.now()
  log(`libtorch addon: compiling into ${target.folder}, about a minute`)
  await compileAddon({
    name: "libtorch addon",
    addon: torchAddon,
    target,
    definitions: definitions(libtorch),
    stamp: stampOf(libtorch),
    check: (file) => checkLinks(file, libtorch),
    log,
  })
  log(`libtorch addon: compiled in ${((performance.now() - start) / 1000).toFixed(0)} s`)
}

/** All the build depends on: our sources, and which libtorch lies there now. */
function stampOf(libtorch: Libtorch): string {
  const { size, mtimeMs } = statSync(libraryFile(libtorch, "torch_cpu"))
  const facts = [sourceDigest(torchAddon), libtorch, size, mtimeMs, process.platform, process.arch]
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex")
}

function libraryFile(libtorch: Libtorch, name: string): string {
  return join(libtorch.lib, `lib${name}.${process.platform === "darwin" ? "dylib" : "so"}`)
}

function definitions(libtorch: Libtorch): Record<string, string | number> {
  return {
    TORCH_LIB: libtorch.lib,
    TORCH_INCLUDES: libtorch.includes.join(";"),
    TORCH_DEFINITIONS: `_GLIBCXX_USE_CXX11_ABI=${libtorch.cxx11Abi ? 1 : 0}`,
    TORCH_CXX_STANDARD: atLeast(libtorch.version, 2, 12) ? 20 : 17,
  }
}

function atLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split(".").map(Number)
  return a > major || (a === major && b >= minor)
}

/** The addon must run on the libtorch it was compiled for, not on another one the loader finds first. */
function checkLinks(file: string, libtorch: Libtorch): void {
  if (process.platform !== "linux") return
  const links = execFileSync("ldd", [file], { encoding: "utf8" })
  for (const name of ["torch_cpu", "c10"]) {
    const path = new RegExp(`lib${name}\\.so\\S* => (\\S+)`).exec(links)?.[1] ?? "nothing"
    const expected = realpathSync(libraryFile(libtorch, name))
    if (!existsSync(path) || realpathSync(path) !== expected) {
      throw new UserError(`the libtorch addon is linked to ${path} instead of ${expected}`, "is LD_PRELOAD set?")
    }
  }
}
