/** Installs the distribution's libtorch with apt-get, where that can be done without asking anybody. */
import { spawnSync } from "node:child_process"
import { UserError } from "../src/core/errors.ts"
import { findLibtorch, type Libtorch } from "./find.ts"

/**
 * @param log told what is going to be installed before it is
 * @throws UserError listing the ways to get a libtorch, where apt-get cannot be used or does not bring one
 */
export function installLibtorch(log: (line: string) => void): Libtorch {
  const prefix = privilege()
  if (prefix === null) throw noLibtorch("libtorch was not found, and apt-get cannot be used to install it")
  log(
    `libtorch was not found: installing the distribution's package libtorch-dev with ${[...prefix, "apt-get"].join(" ")}`,
  )
  aptGet(prefix, ["update"])
  log(`libtorch-dev: ${downloadSize(prefix)}`)
  aptGet(prefix, ["install", "-y", "--no-install-recommends", "libtorch-dev"])
  const libtorch = findLibtorch()
  if (!libtorch) throw noLibtorch("libtorch-dev was installed, but no libtorch is found")
  return libtorch
}

/** What to put before apt-get: nothing for root, sudo where it asks no password; null where neither works. */
function privilege(): string[] | null {
  if (run("apt-get", ["--version"]).status !== 0) return null
  if (process.getuid?.() === 0) return []
  return run("sudo", ["-n", "true"]).status === 0 ? ["sudo", "-n"] : null
}

/** "Need to get 60 MB of archives.", from a run that answers no. */
function downloadSize(prefix: readonly string[]): string {
  const { stdout } = apt(prefix, ["install", "--assume-no", "--no-install-recommends", "libtorch-dev"])
  return /^Need to get .*$/m.exec(stdout)?.[0] ?? "size unknown"
}

function aptGet(prefix: readonly string[], args: readonly string[]): void {
  const { status, stderr } = apt(prefix, args)
  if (status === 0) return
  const reason = stderr.trim().split("\n").at(-1) || `exit code ${status}`
  throw noLibtorch(`libtorch was not found, and "apt-get ${args.join(" ")}" failed: ${reason}`)
}

function apt(prefix: readonly string[], args: readonly string[]) {
  const [program = "env", ...rest] = [
    ...prefix,
    "env",
    "DEBIAN_FRONTEND=noninteractive",
    "LC_ALL=C",
    "apt-get",
    ...args,
  ]
  return run(program, rest)
}

function run(program: string, args: readonly string[]) {
  return spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 28 })
}

function noLibtorch(message: string): UserError {
  return new UserError(
    message,
    "any of these is enough: apt-get install libtorch-dev; brew install pytorch; pip install torch; " +
      "or LIBTORCH=/path/to/libtorch (the unpacked zip from pytorch.org)",
  )
}
