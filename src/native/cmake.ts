/** Compiles an addon with CMake; Node's headers come with npm, so nothing is downloaded. */
import { spawn, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { UserError } from "../core/errors.ts"
import type { Addon, AddonFiles } from "./addon.ts"

export interface Build {
  /** For messages: "the libtorch addon". */
  readonly name: string
  readonly addon: Addon
  readonly target: AddonFiles
  readonly definitions: Readonly<Record<string, string | number>>
  /** What the addon is built from and for. */
  readonly stamp: string
  /** Throws where the file is not to be used. */
  readonly check?: (file: string) => void
  /** Is told how far the build is. */
  readonly log: (line: string) => void
}

/**
 * The existing addon is used until its successor is complete, checked and renamed into its place.
 *
 * @throws UserError when CMake or a compiler is missing, or at the first line of errors
 */
export async function compileAddon(build: Build): Promise<void> {
  const { name, target, stamp, check } = build
  requireTools(name)
  const folder = freshFolder(target)
  try {
    const file = await compile(build, folder)
    check?.(file)
    // A build that is stopped here leaves a file without a stamp, which is built again.
    rmSync(target.stampFile, { force: true })
    renameSync(file, target.file)
    writeFileSync(target.stampFile, stamp)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A new folder each time: compilers of a killed build may still be writing, and CMake would reuse another library's cache. */
function freshFolder({ folder }: AddonFiles): string {
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder).filter((name) => name.startsWith("cmake"))) removeLeft(join(folder, name))
  return mkdtempSync(join(folder, "cmake-"))
}

function removeLeft(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true })
  } catch {
    // A compiler writes there again: the next build removes it.
  }
}

/** Compiles in `folder` and returns the addon's path. */
async function compile(build: Build, folder: string): Promise<string> {
  const { module, sourceFolder } = build.addon
  const generator = works("ninja") ? ["-G", "Ninja"] : []
  const definitions = Object.entries({ ...build.definitions, NODE_INCLUDES: nodeIncludes() })
  const flags = definitions.map(([name, value]) => `-D${name}=${value}`)
  await cmake(build, ["-S", sourceFolder, "-B", folder, ...generator, ...flags])
  await cmake(build, ["--build", folder, "--parallel", String(availableParallelism())])
  return join(folder, `${module}.node`)
}

/** The programs that are missing, by the names of Debian's packages. */
export function missingTools(): string[] {
  const compilers = [process.env.CXX || "c++", "c++", "g++", "clang++"]
  return [
    ...(works("cmake") ? [] : ["cmake"]),
    ...(compilers.some(works) ? [] : ["g++"]),
    ...(works("ninja") || works("make") ? [] : ["make"]),
  ]
}

/** How to get them. */
export function toolsHint(missing: readonly string[]): string {
  return `apt-get install ${missing.join(" ")} (Debian, Ubuntu), or xcode-select --install and brew install cmake`
}

function requireTools(name: string): void {
  const missing = missingTools()
  if (missing.length === 0) return
  throw new UserError(`${name} cannot be compiled: ${missing.join(", ")} not found`, toolsHint(missing))
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

async function cmake(build: Build, args: readonly string[]): Promise<void> {
  const { status, output } = await run("cmake", args, (line) => logProgress(build, line))
  if (status === 0) return
  const log = join(build.target.folder, "build.log")
  writeFileSync(log, [`cmake ${args.join(" ")}`, ...output, ""].join("\n"))
  const error = output.find((line) => /error/i.test(line))
  throw new UserError(`${build.name} does not compile: ${error ?? "cmake failed"}`, `the whole output is in ${log}`)
}

/** Ninja's "[3/14] Building ..." and make's "[ 21%] Building ...". */
function logProgress({ name, log }: Build, line: string): void {
  const [, done, ofAll] = /^\[\s*(\d+)(\/\d+|%)\] Build/.exec(line) ?? []
  if (done && ofAll) log(`${name}: compiling ${done}${ofAll}`)
}

function run(program: string, args: readonly string[], onLine: (line: string) => void) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] })
  const output: string[] = []
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => {
      output.push(line)
      onLine(line)
    })
  }
  return new Promise<{ readonly status: number | null; readonly output: readonly string[] }>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (status) => resolve({ status, output }))
  })
}
