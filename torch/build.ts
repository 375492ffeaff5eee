/**
 * Builds the libtorch addon where it is missing or no longer fits: `node dist/torch/build.js`, part of `npm run build`.
 * Finds libtorch, or installs the distribution's; nothing but packages is downloaded (Node's headers come with npm).
 */
import { execFileSync, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { UserError } from "../src/core/errors.ts"
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
  requireTools()
  const start = performance.now()
  log("libtorch addon: compiling, about a minute")
  compile(libtorch)
  checkLinks(libtorch)
  writeFileSync(stampFile, stamp)
  log(`libtorch addon: compiled in ${((performance.now() - start) / 1000).toFixed(0)} s`)
}

const stampFile = join(buildFolder, "stamp")
const cmakeFolder = join(buildFolder, "cmake")

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

function requireTools(): void {
  const compilers = [process.env.CXX, "c++", "g++", "clang++"].filter((name) => name !== undefined)
  const missing = [
    ...(works("cmake") ? [] : ["cmake"]),
    ...(compilers.some(works) ? [] : ["g++"]),
    ...(works("ninja") || works("make") ? [] : ["make"]),
  ]
  if (missing.length === 0) return
  const hint = `apt-get install ${missing.join(" ")} (Debian, Ubuntu), or xcode-select --install and brew install cmake`
  throw new UserError(`the libtorch addon cannot be compiled: ${missing.join(", ")} not found`, hint)
}

function works(program: string): boolean {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0
}

function compile(libtorch: Libtorch): void {
  // A cache of another libtorch or compiler would be reused.
  rmSync(cmakeFolder, { recursive: true, force: true })
  mkdirSync(cmakeFolder, { recursive: true })
  const generator = works("ninja") ? ["-G", "Ninja"] : []
  cmake(["-S", sourceFolder, "-B", cmakeFolder, ...generator, ...definitions(libtorch)])
  cmake(["--build", cmakeFolder, "--parallel", String(availableParallelism())])
  copyFileSync(join(cmakeFolder, "torch.node"), `${addonFile}.new`)
  renameSync(`${addonFile}.new`, addonFile)
}

function definitions(libtorch: Libtorch): string[] {
  const values = {
    TORCH_LIB: libtorch.lib,
    TORCH_INCLUDES: libtorch.includes.join(";"),
    TORCH_DEFINITIONS: `_GLIBCXX_USE_CXX11_ABI=${libtorch.cxx11Abi ? 1 : 0}`,
    TORCH_CXX_STANDARD: atLeast(libtorch.version, 2, 12) ? 20 : 17,
    NODE_INCLUDES: [join(packageFolder("node-api-headers"), "include"), packageFolder("node-addon-api")].join(";"),
  }
  return Object.entries(values).map(([name, value]) => `-D${name}=${value}`)
}

function atLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split(".").map(Number)
  return a > major || (a === major && b >= minor)
}

function packageFolder(name: string): string {
  return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`))
}

function cmake(args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync("cmake", args, { encoding: "utf8" })
  if (status === 0) return
  const log = join(buildFolder, "build.log")
  writeFileSync(log, `cmake ${args.join(" ")}\n${stdout}${stderr}`)
  const errors = `${stdout}${stderr}`.split("\n").filter((line) => /error/i.test(line))
  throw new UserError(
    `the libtorch addon does not compile: ${errors[0] ?? "cmake failed"}`,
    `the whole output is in ${log}`,
  )
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
