/** What code that is made for one processor depends on: its architecture, model and instruction sets, as text. */
import { closeSync, openSync, readSync } from "node:fs"
import { arch, cpus } from "node:os"

export function processorIdentity(): string {
  return `${arch()} ${firstIn(beginOfCpuinfo()) ?? cpus()[0]?.model ?? "unknown"}`
}

const told = /^(model name|flags|CPU implementer|CPU part|Features|isa)\s*:.*$/gm

/** @param cpuinfo the text of /proc/cpuinfo, whose lines about clocks differ from one moment to the next */
export function firstIn(cpuinfo: string): string | null {
  return cpuinfo.split("\n\n")[0]!.match(told)?.join("; ") ?? null
}

/** The first processor is enough: a program may be moved among all of them, and a list of hundreds takes long to read. */
function beginOfCpuinfo(): string {
  try {
    const file = openSync("/proc/cpuinfo", "r")
    try {
      const buffer = Buffer.alloc(1 << 13)
      return buffer.toString("latin1", 0, readSync(file, buffer))
    } finally {
      closeSync(file)
    }
  } catch {
    return ""
  }
}
