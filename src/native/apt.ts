/** The distribution's packages, where they can be installed without asking the user. */
import { spawnSync } from "node:child_process"

/** Whether apt-get is there and works: as root, or through sudo where that asks no password. */
export function canInstall(): boolean {
  return privilege() !== null
}

/** What installs packages here, for a message: "apt-get", "sudo -n apt-get". */
export function installer(): string {
  return [...(privilege() ?? []), "apt-get"].join(" ")
}

/** "Need to get 60 MB of archives.", from a run that installs nothing. */
export function downloadSize(packages: readonly string[]): string {
  const { stdout } = apt(["install", "--assume-no", "--no-install-recommends", ...packages])
  return /^Need to get .*$/m.exec(stdout)?.[0] ?? "size unknown"
}

/** Refreshes the lists of packages. Throws an Error with apt-get's reason. */
export function updateLists(): void {
  run(["update"])
}

/** Throws an Error with apt-get's reason. */
export function installPackages(packages: readonly string[]): void {
  run(["install", "-y", "--no-install-recommends", ...packages])
}

/** What to put before apt-get: nothing for root; null where it cannot be used. */
function privilege(): string[] | null {
  if (spawn("apt-get", ["--version"]).status !== 0) return null
  if (process.getuid?.() === 0) return []
  return spawn("sudo", ["-n", "true"]).status === 0 ? ["sudo", "-n"] : null
}

function run(args: readonly string[]): void {
  const { status, stderr } = apt(args)
  if (status === 0) return
  const reason = stderr.trim().split("\n").at(-1) || `exit code ${status}`
  throw new Error(`"apt-get ${args.join(" ")}" failed: ${reason}`)
}

function apt(args: readonly string[]) {
  const environment = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"]
  const [program = "env", ...rest] = [...(privilege() ?? []), ...environment, "apt-get", ...args]
  return spawn(program, rest)
}

function spawn(program: string, args: readonly string[]) {
  return spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 28 })
}
