/**
 * Compares runs that are killed with SIGKILL and resumed with undisturbed ones, bitwise: `node dist/bench/resume.js [STEPS]`, plain and
 * reinforced, in one process and in two. About five minutes for 60 steps on two cores.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { proveResume } from "../test/resume.ts"

const steps = Number(process.argv[2] ?? 60)
let failures = 0
for (const processes of [1, 2]) {
  for (const reinforced of [false, true]) {
    const folder = await mkdtemp(join(tmpdir(), "resume-"))
    try {
      const { killedAfter, straight, resumed, sameLosses } = await proveResume(folder, { reinforced, processes, steps })
      const same = straight === resumed && sameLosses
      if (!same) failures += 1
      const kind = `${reinforced ? "reinforced" : "plain"}, ${processes} process${processes > 1 ? "es" : ""}`
      console.log(
        `${kind}: ${steps} steps, killed after ${killedAfter}: ${same ? "bitwise equal" : "DIFFERENT"} (${straight.slice(0, 12)}, ${resumed.slice(0, 12)})`,
      )
    } finally {
      await rm(folder, { recursive: true })
    }
  }
}
if (failures > 0) process.exitCode = 1
