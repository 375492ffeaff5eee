/** What code that is made for one processor depends on: its architecture, model and instruction sets, as text. */
import { closeSync, openSync, readSync } from "node:fs"
import { arch, cpus } from "node:os"

export function processorFeatures(): string {
  return `${arch()} ${firstOfLinux() ?? cpus()[0]?.model ?? "unknown"}`
}

const told = /^(model name|flags|CPU implementer|CPU part|Features|isa)\s*:.*$/gm

/** The first processor alone: a list of hundreds takes long, and a program may be moved among all of them. */
function firstOfLinux(): string | null {
  try {
    const file = openSync("/proc/cpuinfo", "r")
    try {
      const buffer = Buffer.alloc(1 << 13)
      const [first = ""] = buffer.toString("latin1", 0, readSync(file, buffer)).split("\n\n")
      return first.match(told)?.join("; ") ?? null
    } finally {
      closeSync(file)
    }
  } catch {
    return null
  }
}
