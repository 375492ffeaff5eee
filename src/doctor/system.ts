/** The machine: this package, Node, the system, processors and memory, and how much of them this process may use. */
import { readFileSync } from "node:fs"
import { freemem, totalmem } from "node:os"
import { bfloat16Text, type ProcessorFeature, processorFeatures } from "../host/processor-features.ts"
import { version } from "../host/version.ts"
import { thisMachine } from "../report/machine.ts"
import { type Check, checksOf } from "./check.ts"

const { ok, warning } = checksOf("System")

export function systemChecks(): Check[] {
  const { os, node } = thisMachine()
  return [
    ok("mobileclip", version(), { facts: { version: version() } }),
    ok("Node", node, { facts: { version: node } }),
    ok("system", os, { facts: { os } }),
    processorCheck(),
    instructionsCheck(processorFeatures()),
    memoryCheck(),
  ]
}

function processorCheck(): Check {
  const { cpu, cores } = thisMachine()
  const limit = cpuLimit()
  const facts = { cpu, cores, limit }
  if (limit !== null && limit < cores) {
    const text = `${cpu}, ${cores} cores, of which a cgroup allows the time of ${Number(limit.toFixed(2))}`
    const threads = Math.max(1, Math.floor(limit))
    return warning("processor", text, {
      fix: `more threads than that wait for each other: --threads ${threads}`,
      facts,
    })
  }
  return ok("processor", `${cpu}, ${cores} ${cores === 1 ? "core" : "cores"}`, { facts })
}

/** Instructions that products of matrices are made of. */
export function instructionsCheck(features: readonly ProcessorFeature[]): Check {
  const list = features.join(", ") || "not listed by this system"
  return ok("instructions", `${list}; ${bfloat16Text(features)}`, { facts: { features } })
}

const GIB = 2 ** 30

function memoryCheck(): Check {
  const constrained = process.constrainedMemory() ?? 0
  const limit = constrained > 0 && constrained < totalmem() ? constrained : null
  const facts = { totalBytes: totalmem(), freeBytes: freemem(), limitBytes: limit }
  const within = limit === null ? "" : `, of which a cgroup allows ${(limit / GIB).toFixed(1)}`
  const text = `${(totalmem() / GIB).toFixed(1)} GiB, ${(freemem() / GIB).toFixed(1)} free${within}`
  if (freemem() >= GIB && (limit ?? GIB) >= GIB) return ok("memory", text, { facts })
  return warning("memory", text, { fix: "the larger models need some GiB; close other programs", facts })
}

/** Processors' worth of time this process may use, by cgroup v2 or v1; null without a limit. */
function cpuLimit(): number | null {
  const v2 = parseCpuMax(readIfThere("/sys/fs/cgroup/cpu.max"))
  const v1 = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map((file) => readIfThere(`/sys/fs/cgroup/cpu/${file}`))
  return v2 ?? parseCpuMax(v1.join(" "))
}

/** "150000 100000" -> 1.5: microseconds in each period; "max" and -1 are no limit. */
export function parseCpuMax(text: string): number | null {
  const [quota, period] = text.trim().split(/\s+/).map(Number) as [number, number | undefined]
  return quota > 0 && period && period > 0 ? quota / period : null
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8").trim()
  } catch {
    return ""
  }
}
