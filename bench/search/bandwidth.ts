/** How fast threads read memory: the C library's search for a byte that is not there, each in memory of its own. */
import { once } from "node:events"
import { Worker } from "node:worker_threads"

const bytes = 512 * 2 ** 20
const passes = 8

/** In bytes a second: the best pass of all threads at once. */
export async function memoryBandwidth(threads: number): Promise<number> {
  const code = `
    const { parentPort } = require("node:worker_threads")
    const memory = Buffer.alloc(${bytes}, 2)
    parentPort.on("message", () => {
      const from = performance.now()
      memory.indexOf(1)
      parentPort.postMessage(performance.now() - from)
    })
    parentPort.postMessage(0)`
  const workers = Array.from({ length: threads }, () => new Worker(code, { eval: true }))
  await Promise.all(workers.map((worker) => once(worker, "message")))
  let best = 0
  for (let pass = 0; pass < passes; pass++) {
    const from = performance.now()
    const answers = workers.map((worker) => once(worker, "message"))
    for (const worker of workers) worker.postMessage(null)
    await Promise.all(answers)
    best = Math.max(best, (threads * bytes * 1000) / (performance.now() - from))
  }
  await Promise.all(workers.map((worker) => worker.terminate()))
  return best
}
