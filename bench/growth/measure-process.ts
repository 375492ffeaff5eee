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

process.on("message", async (task: Task) => {
  process.send!(await measure(task).catch(failure))
})

async function measure(task: Task): Promise<Outcome> {
  const build = new Build(task.dist)
  const { prepare } = (await import(new URL(`measures/${task.measure}.js`, import.meta.url).href)) as {
    prepare: Prepare
  }
  warm ??= warmUp(prepare, build, task)
  const base = await warm
  const figures = await figuresOf(await prepare(build, task))
  const processorSeconds = Math.max(0, figures.processorSeconds - base)
  return { kind: "measured", ...figures, processorSeconds }
}

/** All tasks of a process are of one row and one build. */
let warm: Promise<number> | null = null

/** Processor seconds of the second time. */
async function warmUp(prepare: Prepare, build: Build, task: Task): Promise<number> {
  const run = async () => figuresOf(await prepare(build, { ...task, size: task.warmUp, input: task.warmUpInput }))
  await run()
  return (await run()).processorSeconds
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

/** What this process took, and on Linux those that it started and that ended. */
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
