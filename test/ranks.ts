/** Real processes that compute together over loopback TCP, for tests. The product must be built. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { freePort } from "./free-port.ts"

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** What `report(value)` was given. */
  readonly reported: unknown
  readonly stderr: string
}

/**
 * Runs the body in `size` processes; in scope: `torch`, `group`, `syncBatchNorm`, `report`. It leaves the group at its end.
 */
export async function runRanks(size: number, body: string, timeoutSeconds = 60): Promise<Ended[]> {
  const folder = mkdtempSync(join(tmpdir(), "ranks-"))
  try {
    const program = join(folder, "rank.mjs")
    writeFileSync(program, programOf(body, timeoutSeconds))
    const shared = { WORLD_SIZE: String(size), MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(await freePort()) }
    const ranks = Array.from({ length: size }, (_, rank) => {
      const env = { ...process.env, ...shared, RANK: String(rank), LOCAL_RANK: String(rank), OMP_NUM_THREADS: "1" }
      return spawn(process.execPath, [program], { env, stdio: ["ignore", "pipe", "pipe"] })
    })
    return await Promise.all(ranks.map(endOf))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What every rank reported; throws what a rank wrote when it failed. */
export async function reportsOf<T>(size: number, body: string): Promise<T[]> {
  const ends = await runRanks(size, body)
  return ends.map(({ code, reported, stderr }) => {
    if (code !== 0) throw new Error(stderr)
    return reported as T
  })
}

/** The address of a built module, for a program in a folder of its own. */
export function built(path: string): string {
  return JSON.stringify(new URL(`../dist/${path}`, import.meta.url).href)
}

function programOf(body: string, timeoutSeconds: number): string {
  return `
    import * as torch from ${built("torch/index.js")}
    import { processGroupFromEnvironment } from ${built("src/train/distributed/process-group.js")}
    import { syncBatchNorm } from ${built("src/train/distributed/sync-batch-norm.js")}
    const report = (value) => process.stdout.write(JSON.stringify(value))
    const group = processGroupFromEnvironment({ timeoutSeconds: ${timeoutSeconds} })
    try { ${body} } finally { group?.close() }`
}

async function endOf(child: ChildProcess): Promise<Ended> {
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }))
  })
  const [stdout, stderr, end] = await Promise.all([text(child.stdout!), text(child.stderr!), ended])
  return { ...end, stderr, reported: stdout ? JSON.parse(stdout) : undefined }
}
