/** How much memory this process was resident in at its worst. */
import { readFileSync } from "node:fs"

/**
 * In bytes. On Linux a process that was started begins its `maxRSS` with the size of the one that started it; the kernel's
 * own mark belongs to the program.
 */
export function peakMemory(): number {
  const kibibytes = process.platform === "linux" ? highWaterMark() : null
  return (kibibytes ?? process.resourceUsage().maxRSS) * 1024
}

/** Null where the kernel does not say. */
function highWaterMark(): number | null {
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))
    return found ? Number(found[1]) : null
  } catch {
    return null
  }
}
