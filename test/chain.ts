/**
 * The whole chain of data generation on many machines, with everything real but the size: shards of JPEGs, a teacher on
 * ONNX Runtime, a NATS server, worker processes that are killed without warning, and the server killed once. What comes
 * out is compared, byte for byte, with one process that nobody disturbed.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Random } from "../src/core/random.ts"
import { readSamples } from "../src/data/reinforced/read.ts"
import { renderSample } from "../src/data/scenes/dataset.ts"
import { type Sample, writeShard } from "../src/data/shards.ts"
import { exportModel } from "../src/export/export.ts"
import { makeDirectory } from "../src/host/files.ts"
import { NatsServer } from "./nats-server.ts"
import { tinyInfo, tinyModel } from "./tiny-model.ts"

export interface ChainOptions {
  readonly shards: number
  readonly samplesPerShard: number
  readonly workers: number
  /** Between two deaths of a worker, chosen at random. */
  readonly killSeconds: number
  /** Behind the first shard, the server dies, once. */
  readonly serverDiesAfterSeconds: number
  readonly views: number
  /** Behind which the chain is given up. */
  readonly maxSeconds: number
  readonly log?: (line: string) => void
}

export interface ChainReport {
  readonly seconds: number
  readonly workersKilled: number
  readonly serverKilled: number
  readonly parked: number
  readonly samples: number
  /** Keys that are missing or there more than once. */
  readonly wrongKeys: readonly string[]
  /** Files that differ from those of the single process. */
  readonly different: readonly string[]
  readonly singleSeconds: number
}

const program = fileURLToPath(new URL("../bin/mobileclip.js", import.meta.url)).replace("/dist/bin/", "/bin/")

export async function runChain(options: ChainOptions): Promise<ChainReport> {
  const folder = mkdtempSync(join(tmpdir(), "chain-"))
  try {
    const keys = await prepare(folder, options)
    const single = await reference(folder, options)
    const chain = await disturbed(folder, options)
    return { ...chain, ...(await compare(folder, keys)), singleSeconds: single }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function prepare(folder: string, { shards, samplesPerShard }: ChainOptions): Promise<string[]> {
  await exportModel(tinyModel(), { ...tinyInfo, name: "tiny" }, join(folder, "teacher"))
  await makeDirectory(join(folder, "in"))
  const keys: string[] = []
  for (let shard = 0; shard < shards; shard++) {
    const samples: Sample[] = []
    for (let i = 0; i < samplesPerShard; i++) {
      const key = `${String(shard).padStart(4, "0")}${String(i).padStart(4, "0")}`
      samples.push(await renderSample(key, 1, "train", keys.length % 200))
      keys.push(key)
    }
    await writeShard(join(folder, "in", `${String(shard).padStart(8, "0")}.tar`), samples)
  }
  return keys
}

const stage = (folder: string, output: string, views: number) => [
  ...["--input", join(folder, "in"), "--output", join(folder, output), "--model-name", join(folder, "teacher")],
  ...["--num-samples", String(views), "--bfloat16", "--progress", "none", "--json"],
]

async function reference(folder: string, { views }: ChainOptions): Promise<number> {
  const started = performance.now()
  const child = start(["reinforce", "embed", ...stage(folder, "single", views), "--workers", "1", "--threads", "1"])
  const code = await ended(child)
  if (code !== 0) throw new Error(`the single process ended with ${code}`)
  return (performance.now() - started) / 1000
}

async function disturbed(folder: string, options: ChainOptions) {
  const { workers, killSeconds, serverDiesAfterSeconds, views, maxSeconds, log = () => {} } = options
  await using server = await NatsServer.start()
  const started = performance.now()
  const seconds = () => (performance.now() - started) / 1000
  const nats = ["--nats", server.url]
  const run = start(["reinforce", "run", "embedding", ...stage(folder, "many", views), ...nats, "--ack-wait", "4"])
  const startWorker = () => start(["reinforce", "worker", ...nats, "--workers", "1", "--threads", "1"])
  const alive = Array.from({ length: workers }, startWorker)
  const random = new Random(1)
  const report = { workersKilled: 0, serverKilled: 0 }
  let firstShard = Number.POSITIVE_INFINITY
  let code: number | null | undefined
  const done = ended(run).then((exit) => {
    code = exit
  })
  try {
    for (let next = killSeconds; code === undefined; ) {
      await Promise.race([done, sleep(100)])
      if (seconds() > maxSeconds) throw new Error(`the chain was not done behind ${maxSeconds} s`)
      // A command that finds no server says so and ends: the server dies when all have found it.
      if (firstShard > seconds() && shardsIn(join(folder, "many")).length > 0) firstShard = seconds()
      if (report.serverKilled === 0 && seconds() > firstShard + serverDiesAfterSeconds) {
        report.serverKilled++
        log(`${seconds().toFixed(1)} s: the server dies`)
        await server.kill()
        await sleep(1000)
        await server.restart()
      }
      if (seconds() < next || code !== undefined) continue
      next += killSeconds
      const victim = random.int(workers)
      log(`${seconds().toFixed(1)} s: worker ${victim} dies`)
      if (kill(alive[victim]!)) report.workersKilled++
      alive[victim] = startWorker()
    }
    if (code !== 0) throw new Error(`reinforce run ended with ${code}`)
    return { ...report, seconds: seconds(), parked: await parkedShards(nats) }
  } finally {
    for (const child of [run, ...alive]) kill(child)
    await Promise.all([run, ...alive].map(ended))
  }
}

async function parkedShards(nats: readonly string[]): Promise<number> {
  const child = start(["reinforce", "status", ...nats, "--json"], "pipe")
  let text = ""
  child.stdout!.on("data", (chunk) => {
    text += chunk
  })
  await ended(child)
  return (JSON.parse(text) as { parked: unknown[] }).parked.length
}

async function compare(folder: string, keys: readonly string[]) {
  const [single, many] = [join(folder, "single"), join(folder, "many")]
  const names = new Set([...shardsIn(single), ...shardsIn(many)])
  const different = [...names].filter((name) => !equal(join(single, name), join(many, name)))
  const seen = new Map<string, number>()
  let samples = 0
  for (const name of shardsIn(many)) {
    for await (const { key } of readSamples(join(many, name), () => {})) {
      seen.set(key, (seen.get(key) ?? 0) + 1)
      samples++
    }
  }
  const leftovers = readdirSync(many).filter((name) => name.endsWith(".tmp"))
  return { samples, wrongKeys: keys.filter((key) => seen.get(key) !== 1), different: [...different, ...leftovers] }
}

function shardsIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith(".tar"))
    .sort()
}

function equal(a: string, b: string): boolean {
  try {
    return readFileSync(a).equals(readFileSync(b))
  } catch {
    return false
  }
}

function start(args: readonly string[], stdout: "ignore" | "pipe" = "ignore"): ChildProcess {
  const env = { ...process.env, OMP_NUM_THREADS: "1" }
  return spawn(process.execPath, [program, ...args], { stdio: ["ignore", stdout, "inherit"], env })
}

/** False where it was gone already. */
function kill(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
  return child.exitCode
}
