/**
 * The whole chain of data generation on many machines, with everything real but the size: shards of JPEGs, a teacher on
 * ONNX Runtime, a NATS server, worker processes that are killed without warning, and the server killed once. What comes
 * out is compared, byte for byte, with one process that nobody disturbed.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Random } from "../src/core/arrays/random.ts"
import {
  type ChainSize,
  type Comparison,
  compare,
  prepare,
  reference,
  shardsIn,
  stageOptions,
  statusOf,
} from "./chain-job.ts"
import { NatsServer } from "./nats-server.ts"
import { ended, isRunning, kill, startProgram } from "./program.ts"

interface ChainOptions extends ChainSize {
  readonly workers: number
  /** Between two deaths of a worker, chosen at random, at least; each comes when there is a shard more than at the last one. */
  readonly killSeconds: number
  /** After the first shard, the server dies, once. */
  readonly serverDiesAfterSeconds: number
  /** After which the chain is given up. */
  readonly maxSeconds: number
  readonly log?: (line: string) => void
}

interface ChainReport extends Comparison {
  readonly seconds: number
  readonly workersKilled: number
  readonly serverKilled: number
  readonly parked: number
  readonly singleSeconds: number
}

export async function runChain(options: ChainOptions): Promise<ChainReport> {
  const folder = mkdtempSync(join(tmpdir(), "chain-"))
  try {
    const keys = await prepare(folder, options)
    const single = await reference(folder, options.views)
    const chain = await disturbed(folder, options)
    return { ...chain, ...(await compare(folder, keys)), singleSeconds: single }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function disturbed(folder: string, options: ChainOptions) {
  const { workers, killSeconds, serverDiesAfterSeconds, views, maxSeconds, log = () => {} } = options
  await using server = await NatsServer.start()
  const started = performance.now()
  const seconds = () => (performance.now() - started) / 1000
  const nats = ["--nats", server.url]
  const at = (name: string) => join(folder, name)
  const stage = stageOptions({ input: at("in"), output: at("many"), teacher: at("teacher") }, views)
  const run = startProgram(["reinforce", "run", "embedding", ...stage, ...nats, "--ack-wait", "4"])
  const startWorker = () => startProgram(["reinforce", "worker", ...nats, "--workers", "1", "--threads", "1"])
  const alive = Array.from({ length: workers }, startWorker)
  const random = new Random(1)
  const report = { workersKilled: 0, serverKilled: 0 }
  let firstShard = Number.POSITIVE_INFINITY
  // A machine on which no worker is ready before the next death would never end.
  let shardsAtDeath = 0
  let code: number | null | undefined
  const done = ended(run).then((exit) => {
    code = exit
  })
  try {
    for (let next = 0; code === undefined; ) {
      await Promise.race([done, sleep(100)])
      if (seconds() > maxSeconds) throw new Error(`the chain was not done after ${maxSeconds} s`)
      // A command that finds no server says so and ends: the server dies when all have found it.
      const shards = shardsIn(join(folder, "many")).length
      if (firstShard > seconds() && shards > 0) firstShard = seconds()
      if (report.serverKilled === 0 && seconds() > firstShard + serverDiesAfterSeconds) {
        report.serverKilled++
        log(`${seconds().toFixed(1)} s: the server dies`)
        await server.kill()
        await sleep(1000)
        await server.restart()
      }
      // One that came while the server was away has left.
      for (const [i, child] of alive.entries()) if (child.exitCode) alive[i] = startWorker()
      const running = alive.filter(isRunning)
      if (seconds() < next || shards === shardsAtDeath || code !== undefined || running.length === 0) continue
      next = seconds() + killSeconds
      shardsAtDeath = shards
      const victim = alive.indexOf(running[random.int(running.length)]!)
      log(`${seconds().toFixed(1)} s: worker ${victim} dies`)
      if (kill(alive[victim]!)) report.workersKilled++
      alive[victim] = startWorker()
    }
    if (code !== 0) throw new Error(`reinforce run ended with ${code}`)
    return { ...report, seconds: seconds(), parked: (await statusOf(nats)).parked.length }
  } finally {
    for (const child of [run, ...alive]) kill(child)
    await Promise.all([run, ...alive].map(ended))
  }
}
