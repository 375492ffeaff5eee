/**
 * Builds the libtorch addon where it is missing or no longer fits: `node dist/torch/build.js`, part of `npm run build`.
 * Finds libtorch, or installs the distribution's; nothing but packages is downloaded (Node's headers come with npm).
 */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { UserError } from "../src/core/errors.ts"
import { compileAddon } from "./cmake.ts"
import { findLibtorch, type Libtorch } from "./find.ts"
import { ensureFastBlas, installLibtorch } from "./install.ts"
import { addonFile, buildFolder, sourceFolder } from "./paths.ts"

type Log = (line: string) => void

/** @throws UserError when libtorch, CMake or a compiler is missing, or the build fails */
export function buildAddon(log: Log): void {
  const libtorch = findLibtorch() ?? installLibtorch(log)
  log(`libtorch ${libtorch.version}, ${libtorch.cuda ? "with" : "without"} CUDA (${libtorch.origin}: ${libtorch.lib})`)
  ensureFastBlas(libtorch, log)
  const stamp = fingerprint(libtorch)
  if (isBuilt(stamp)) {
    log("libtorch addon: up to date")
    return
  }
  const start = performance.now()
  log("libtorch addon: compiling, about a minute")
  compile(libtorch)
  checkLinks(libtorch)
  writeFileSync(stampFile, stamp)
  log(`libtorch addon: compiled in ${((performance.now() - start) / 1000).toFixed(0)} s`)
}

const stampFile = join(buildFolder, "stamp")

function isBuilt(stamp: string): boolean {
  return existsSync(addonFile) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp
}

/** Of all the build depends on: our sources, and which libtorch lies there now. */
function fingerprint(libtorch: Libtorch): string {
  const hash = createHash("sha256")
  const sources = readdirSync(join(sourceFolder, "src")).map((name) => join("src", name))
  for (const name of ["CMakeLists.txt", ...sources.sort()]) {
    hash.update(name).update(readFileSync(join(sourceFolder, name)))
  }
  const { size, mtimeMs } = statSync(libraryFile(libtorch, "torch_cpu"))
  return hash.update(JSON.stringify([libtorch, size, mtimeMs, process.arch])).digest("hex")
}

function libraryFile(libtorch: Libtorch, name: string): string {
  return join(libtorch.lib, `lib${name}.${process.platform === "darwin" ? "dylib" : "so"}`)
}

function compile(libtorch: Libtorch): void {
  const name = "the libtorch addon"
  compileAddon({ name, sourceFolder, module: "torch", buildFolder, addonFile, definitions: definitions(libtorch) })
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
function checkLinks(libtorch: Libtorch): void {
  if (process.platform !== "linux") return
  const links = execFileSync("ldd", [addonFile], { encoding: "utf8" })
  for (const name of ["torch_cpu", "c10"]) {
    const path = new RegExp(`lib${name}\\.so\\S* => (\\S+)`).exec(links)?.[1] ?? "nothing"
    const expected = realpathSync(libraryFile(libtorch, name))
    if (!existsSync(path) || realpathSync(path) !== expected) {
      throw new UserError(`the libtorch addon is linked to ${path} instead of ${expected}`, "is LD_PRELOAD set?")
    }
  }
}

function main(): void {
  try {
    buildAddon((line) => console.log(line))
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    console.error(`error: ${error.message}${error.hint ? `\n  ${error.hint}` : ""}`)
    process.exitCode = 1
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main()
