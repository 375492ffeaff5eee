/** Imported into a process that is measured: at its end it writes what it took to the pipe 3. */
import { writeSync } from "node:fs"
import { peakMemory } from "../../src/host/peak-memory.ts"
import { watchEventLoop } from "./event-loop.ts"

const longest = watchEventLoop()

process.on("exit", () => {
  const { user, system } = process.cpuUsage()
  const figures = { bytes: peakMemory(), processorSeconds: (user + system) / 1e6, stallSeconds: longest() }
  writeSync(3, JSON.stringify(figures))
})
