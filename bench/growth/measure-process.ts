/**
 * A process that measures one size of one row, in a build that it is told. A first warm-up loads modules and compiles code; the
 * processor time of a second one is taken away, as what the work takes whatever its size. Before each, rubbish is
 * collected and the kernel's mark of the peak is set back.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { messageOf } from "../../src/core/errors.ts"
import { peakMemory } from "../../src/host/peak-memory.ts"
import { Build, NotThere } from "./build.ts"
import { watchEventLoop } from "./event-loop.ts"
import type { Figures, Outcome, Prepare, Task, Work } from "./row.ts"

process.once("message", async (task: Task) => {
  const outcome = await measure(task).catch(failure)
  process.send!(outcome, () => process.exit())
})

async function measure({ dist, measure: name, size, phase, input, warmUp, warmUpInput }: Task): Promise<Outcome> {
  const build = new Build(dist)
  const { prepare } = (await import(new URL(`measures/${name}.js`, import.meta.url).href)) as { prepare: Prepare }
  await (await prepare(build, { size: warmUp, phase, input: warmUpInput }))()
  const base = await figuresOf(await prepare(build, { size: warmUp, phase, input: warmUpInput }))
  const figures = await figuresOf(await prepare(build, { size, phase, input }))
  const processorSeconds = Math.max(0, figures.processorSeconds - base.processorSeconds)
  return { kind: "measured", ...figures, processorSeconds }
}

async function figuresOf(work: Work): Promise<Figures> {
  const before = await restingMemory()
  const longestPause = watchEventLoop()
  const [from, processor] = [performance.now(), processorSeconds()]
  const own = await work()
  const seconds = (performance.now() - from) / 1000
  const spent = processorSeconds() - processor
  const bytes = Math.max(0, peakMemory() - before)
  return { seconds, processorSeconds: spent, bytes, stallSeconds: longestPause(), ...own }
}

/** Bytes after a collection; the peak begins from them, where the kernel allows it. */
async function restingMemory(): Promise<number> {
  await sleep(20)
  globalThis.gc!()
  try {
    writeFileSync("/proc/self/clear_refs", "5")
  } catch {
    return peakMemory()
  }
  return process.memoryUsage.rss()
}

/** Of this process, and on Linux of those that it started and that ended. */
function processorSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6 + secondsOfChildren()
}

/** Linux counts hundredths of a second. */
const ticksASecond = 100

function secondsOfChildren(): number {
  if (process.platform !== "linux") return 0
  const fields = readFileSync("/proc/self/stat", "utf8")
    .replace(/^.*\) /s, "")
    .split(" ")
  return (Number(fields[13]) + Number(fields[14])) / ticksASecond
}

function failure(error: unknown): Outcome {
  if (error instanceof NotThere) return { kind: "not there", what: error.message }
  return { kind: "failed", message: messageOf(error) }
}
