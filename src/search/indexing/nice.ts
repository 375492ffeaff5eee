/** Work that leaves the machine to its user: the lowest priority, and at most half of the processors. */
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { constants, setPriority } from "node:os"
import { join } from "node:path"
import { usableProcessors } from "../../host/processors.ts"

export interface NiceChoice {
  readonly nice: boolean
  /** For people. */
  readonly reason: string
}

/** @param wish of the user; absent: on battery, and while it watches */
export function chooseNice(
  wish: boolean | undefined,
  watches: boolean,
  battery: () => boolean | null = onBattery,
): NiceChoice {
  if (wish !== undefined) return { nice: wish, reason: wish ? "as you wish" : "not wanted" }
  if (watches) return { nice: true, reason: "it watches, beside other work" }
  return battery() === true
    ? { nice: true, reason: "this machine is on battery" }
    : { nice: false, reason: "this machine is not on battery" }
}

/** Lowers this process's priority and gives the threads that it should use: no more than were asked for. */
export function beNice(threads: number | undefined): number {
  setPriority(constants.priority.PRIORITY_LOW)
  const half = Math.max(1, Math.floor(usableProcessors().count / 2))
  return Math.min(half, threads ?? half)
}

/** Null where the system does not say. */
function onBattery(): boolean | null {
  if (process.platform === "linux") return batteryOfLinux("/sys/class/power_supply")
  if (process.platform !== "darwin") return null
  try {
    return /Battery Power/.test(execFileSync("pmset", ["-g", "batt"], { encoding: "utf8", timeout: 2000 }))
  } catch {
    return null
  }
}

/** @param folder with a folder for each supply: its "type", whether a battery is "Discharging", and of what: mice have one too */
export function batteryOfLinux(folder: string): boolean | null {
  try {
    const supplies = readdirSync(folder)
    const text = (supply: string, name: string) => textOr(join(folder, supply, name), "")
    const batteries = supplies.filter(
      (supply) => text(supply, "type") === "Battery" && text(supply, "scope") !== "Device",
    )
    return batteries.length === 0 ? null : batteries.some((supply) => text(supply, "status") === "Discharging")
  } catch {
    return null
  }
}

function textOr(path: string, other: string): string {
  try {
    return readFileSync(path, "utf8").trim()
  } catch {
    return other
  }
}
