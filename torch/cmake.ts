/** Compiles an addon with CMake; Node's headers come with npm, so nothing is downloaded. */
import { spawnSync } from "node:child_process"
import { copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism } from "node:os"
import { dirname, join } from "node:path"
import { UserError } from "../src/core/errors.ts"

export interface Addon {
  /** For messages: "the libtorch addon". */
  readonly name: string
  /** The folder with CMakeLists.txt. */
  readonly sourceFolder: string
  /** The module's name in it, without ".node". */
  readonly module: string
  readonly buildFolder: string
  /** Where the module is put. */
  readonly addonFile: string
  readonly definitions: Readonly<Record<string, string | number>>
}

/** Throws UserError when CMake or a compiler is missing, or at the first line of errors. */
export function compileAddon(addon: Addon): void {
  requireTools(addon)
  const cmakeFolder = join(addon.buildFolder, "cmake")
  // A cache of another library or compiler would be reused.
  rmSync(cmakeFolder, { recursive: true, force: true })
  mkdirSync(cmakeFolder, { recursive: true })
  const generator = works("ninja") ? ["-G", "Ninja"] : []
  const definitions = Object.entries({ ...addon.definitions, NODE_INCLUDES: nodeIncludes() })
  const flags = definitions.map(([name, value]) => `-D${name}=${value}`)
  cmake(addon, ["-S", addon.sourceFolder, "-B", cmakeFolder, ...generator, ...flags])
  cmake(addon, ["--build", cmakeFolder, "--parallel", String(availableParallelism())])
  copyFileSync(join(cmakeFolder, `${addon.module}.node`), `${addon.addonFile}.new`)
  renameSync(`${addon.addonFile}.new`, addon.addonFile)
}

function requireTools({ name }: Addon): void {
  const compilers = [process.env.CXX, "c++", "g++", "clang++"].filter((program) => program !== undefined)
  const missing = [
    ...(works("cmake") ? [] : ["cmake"]),
    ...(compilers.some(works) ? [] : ["g++"]),
    ...(works("ninja") || works("make") ? [] : ["make"]),
  ]
  if (missing.length === 0) return
  const hint = `apt-get install ${missing.join(" ")} (Debian, Ubuntu), or xcode-select --install and brew install cmake`
  throw new UserError(`${name} cannot be compiled: ${missing.join(", ")} not found`, hint)
}

function works(program: string): boolean {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0
}

function nodeIncludes(): string {
  return [join(packageFolder("node-api-headers"), "include"), packageFolder("node-addon-api")].join(";")
}

function packageFolder(name: string): string {
  return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`))
}

function cmake({ name, buildFolder }: Addon, args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync("cmake", args, { encoding: "utf8" })
  if (status === 0) return
  const log = join(buildFolder, "build.log")
  writeFileSync(log, `cmake ${args.join(" ")}\n${stdout}${stderr}`)
  const errors = `${stdout}${stderr}`.split("\n").filter((line) => /error/i.test(line))
  throw new UserError(`${name} does not compile: ${errors[0] ?? "cmake failed"}`, `the whole output is in ${log}`)
}
