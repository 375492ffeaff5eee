/**
 * Pictures per second of rendering the scenes dataset (loading it for training: `loader.ts`).
 * `node dist/bench/scenes.js [PICTURES]` after `npm run build`. Processor time is given because rendering uses all cores.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { renderScenes } from "../src/data/scenes/dataset.ts"

const train = Number(process.argv[2] ?? 2000)

async function measure<T>(what: string, count: number, unit: string, work: () => T | Promise<T>): Promise<T> {
  const start = performance.now()
  const processor = process.cpuUsage()
  const result = await work()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(processor)
  const each = (user + system) / 1000 / count
  console.log(`${what}: ${(count / seconds).toFixed(1)} ${unit}/s, ${each.toFixed(2)} ms of processor time each`)
  return result
}

const out = await mkdtemp(join(tmpdir(), "scenes-bench-"))
try {
  const options = { out, seed: 1, counts: { train, test: 1, retrieval: 1 } }
  await measure("render", train + 2, "pictures", () => renderScenes(options))
  await measure("check what is there", train + 2, "pictures", () => renderScenes(options))
} finally {
  await rm(out, { recursive: true })
}
