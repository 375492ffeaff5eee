/**
 * Whether a server's memory stays as it is: the resident memory of each of its processes over requests of all kinds, in ten parts.
 * No process is replaced meanwhile, and the cache is soon full.
 */
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { exportModel } from "../../src/export/export.ts"
import { indexPictures } from "../../src/search/indexing/index-pictures.ts"
import { lifetimeDefaults } from "../../src/serve/processes/lasting.ts"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { type LoadReport, runLoad } from "./load.ts"
import { residentBytes, startServer } from "./start.ts"

export interface MemoryOrder {
  readonly requests: number
  /** A folder of JPEG files. */
  readonly pictures: string
  /** Is told each part as it ends. */
  readonly onPart?: (part: MemoryPart, report: LoadReport) => void
}

/** Bytes: the least that a process had at any time of the part, as much of what it has more is not collected yet. */
export type MemoryPart = Readonly<Record<(typeof processes)[number], number>>

export const processes = ["server", "model", "index"] as const
const parts = 10

/** Ten parts. Throws where a request is answered otherwise than it should be. */
export async function measureMemory(
  folder: string,
  { requests, pictures, onPart }: MemoryOrder,
): Promise<MemoryPart[]> {
  const [model, index] = [join(folder, "tiny"), join(folder, "index")]
  await exportModel(tinyModel(), tinyInfo, model)
  await indexPictures(index, [pictures], { model, threads: 0 })
  await using server = await startServer(model, {
    index: { folder: index, threads: 1, maxPixels: 1e8 },
    engine: { cacheBytes: 2 ** 20, lifetime: { ...lifetimeDefaults, mostTasks: 1e9, mostBytes: 1e12 } },
  })
  const [modelPid, indexPid] = server.pids() as [number, number]
  const found: MemoryPart[] = []
  for (let part = 0; part < parts; part++) {
    const least = leastOf({ server: process.pid, model: modelPid, index: indexPid })
    const order = { url: server.url, kind: "mixed", clients: 8, seconds: 3600, pictures, repeat: null } as const
    const report = await runLoad({ ...order, requests: requests / parts })
    found.push(least())
    if (Object.keys(report.failures).length > 0) throw new Error(`not as expected: ${JSON.stringify(report.failures)}`)
    onPart?.(found.at(-1)!, report)
  }
  return found
}

/** The server is in this process: what nobody holds is not kept, whether V8 has found it yet or not. */
function collect(): void {
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
}

/** Begins to look at processes; what it gives ends that, and says the least that each had. */
function leastOf(pids: Readonly<Record<(typeof processes)[number], number>>): () => MemoryPart {
  const least = { server: Infinity, model: Infinity, index: Infinity }
  const look = () => {
    for (const name of processes) least[name] = Math.min(least[name], residentBytes(pids[name]))
  }
  const timer = setInterval(look, 100)
  return () => {
    clearInterval(timer)
    collect()
    look()
    return least
  }
}

/** Bytes by which a process has more at the end than after two thirds. */
export function lastThird(found: readonly MemoryPart[], name: (typeof processes)[number]): number {
  return found.at(-1)![name] - found[Math.floor((2 * found.length) / 3)]![name]
}
