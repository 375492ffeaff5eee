/**
 * A cluster without its work: every shard passes through a real NATS server, the real publisher and the real worker, but
 * waits for a timer in place of a GPU. Workers die at random without a message, and others take their places.
 *
 *     npx tsc -b && node dist/bench/simulate-cluster.js
 *     node dist/bench/simulate-cluster.js --shards 2000 --workers 100 --processes 2 --restart
 *
 * Each worker has its own connection and its own pull requests; `--processes` processes share the workers.
 */
import { type ChildProcess, fork } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Random } from "../src/core/arrays/random.ts"
import { type JobOutcome, type RunProgress, runDistributed } from "../src/reinforce/distributed/run-distributed.ts"
import { connectNats } from "../src/reinforce/distributed/server/connection.ts"
import { natsSettings } from "../src/reinforce/distributed/server/nats-settings.ts"
import { jobStatus } from "../src/reinforce/distributed/status.ts"
import type { AttemptEvent } from "../src/reinforce/distributed/worker/attempt.ts"
import { runWorker, waitForJob } from "../src/reinforce/distributed/worker/worker.ts"
import type { ModelRunner, ShardTask } from "../src/reinforce/runner.ts"
import { freePort } from "../test/free-port.ts"
import { NatsServer } from "../test/nats-server.ts"

const { values } = parseArgs({
  options: {
    shards: { type: "string", default: "65536" },
    workers: { type: "string", default: "2000" },
    processes: { type: "string", default: "4" },
    /** Mean time of a shard; shards take between half and one and a half times of it. */
    "shard-seconds": { type: "string", default: "4" },
    /** Mean time until a worker dies; exponentially distributed. */
    "life-seconds": { type: "string", default: "120" },
    "ack-wait": { type: "string", default: "15" },
    /** Kills the server in the middle and starts it again. */
    restart: { type: "boolean", default: false },
    /** Set for the processes that this one starts. */
    fleet: { type: "string" },
    url: { type: "string" },
  },
})

const parameters = {
  shards: Number(values.shards),
  workers: Number(values.workers),
  processes: Number(values.processes),
  shardSeconds: Number(values["shard-seconds"]),
  lifeSeconds: Number(values["life-seconds"]),
  ackWaitSeconds: Number(values["ack-wait"]),
}

const samplesPerShard = 19_531

/** What the workers of a process did. */
interface FleetCounts {
  runs: number
  done: number
  doneElsewhere: number
  differing: number
  failed: number
  parked: number
  deaths: number
}

// The cluster's side

async function simulate(): Promise<void> {
  const store = await mkdtemp(join(tmpdir(), "mobileclip-simulation-"))
  const monitoring = await freePort()
  await using server = await NatsServer.start(["-js", "-sd", store, "-m", String(monitoring)])
  const connection = await connectNats(await natsSettings(server.url, {}), "simulation")
  const watch = new ServerWatch(server, monitoring)
  const started = performance.now()
  let publishedAt = 0
  let last: RunProgress | null = null
  const onProgress = (progress: RunProgress) => {
    publishedAt ||= performance.now()
    last = progress
  }
  const fleets = Array.from({ length: parameters.processes }, (_, i) => startFleet(i, server.url))
  const reporting = setInterval(() => report(last, watch), 10_000)
  const restarting = values.restart ? restartInTheMiddle(server, () => last) : Promise.resolve(0)
  const tasks = Array.from({ length: parameters.shards }, (_, index): ShardTask => {
    const name = `${String(Math.floor(index / 1000)).padStart(2, "0")}/${String(index % 1000).padStart(8, "0")}.tar`
    return { index, input: `s3://datasets/datacompdr-1b/${name}`, output: `s3://results/datacompdr-1b/${name}` }
  })
  const options = {
    name: "simulation",
    spec: { stage: "embed" },
    output: "s3://results",
    tasks,
    ackWaitSeconds: parameters.ackWaitSeconds,
  }
  const outcome = await runDistributed(connection, { ...options, onProgress })
  const seconds = (performance.now() - started) / 1000
  clearInterval(reporting)
  // Where the job ends while the server is away, the rest is asked when it is there again.
  const serverAway = await restarting
  await watch.sample()
  const statusStarted = performance.now()
  await jobStatus((await waitForJob(connection, "simulation"))!)
  const statusSeconds = (performance.now() - statusStarted) / 1000
  await connection.close()
  const counts = await Promise.all(fleets)
  print(outcome, counts, {
    "publishing the shards, s": ((publishedAt - started) / 1000).toFixed(1),
    "whole job, s": seconds.toFixed(0),
    "ideal (shards x seconds / workers), s": idealSeconds().toFixed(0),
    "a status of all shards, s": statusSeconds.toFixed(1),
    "server away, s": serverAway.toFixed(1),
    "messages to and from the server": `${watch.messages.in} in, ${watch.messages.out} out`,
    "messages a second, in and out": ((watch.messages.in + watch.messages.out) / seconds).toFixed(0),
    "server's largest memory, MiB": watch.memory.toFixed(0),
    "server's files at the end, MiB": ((await bytesIn(store)) / 2 ** 20).toFixed(0),
    "server's processor time, s": watch.processorSeconds.toFixed(0),
  })
  await rm(store, { recursive: true })
}

function idealSeconds(): number {
  return (parameters.shards * parameters.shardSeconds) / parameters.workers
}

function report(progress: RunProgress | null, watch: ServerWatch): void {
  void watch.sample().catch(() => {})
  if (!progress) return
  const { done, parked, workers, serverAway } = progress
  console.error(`${done} done, ${parked} parked, ${workers} workers${serverAway ? ", no server" : ""}`)
}

/** Seconds that the server was away. */
async function restartInTheMiddle(server: NatsServer, progress: () => RunProgress | null): Promise<number> {
  while ((progress()?.done ?? 0) < parameters.shards / 2) await sleep(100)
  const started = performance.now()
  await server.kill()
  await sleep(3000)
  await server.restart()
  return (performance.now() - started) / 1000
}

function print(outcome: JobOutcome, fleets: readonly FleetCounts[], measured: Readonly<Record<string, string>>): void {
  const sum = (name: keyof FleetCounts) => fleets.reduce((total, counts) => total + counts[name], 0)
  const once = new Set(outcome.completions.map(({ index }) => index)).size === outcome.completions.length
  const rows = {
    ...{ shards: parameters.shards, workers: parameters.workers },
    "completions, each once": `${outcome.completions.length}${once ? "" : " (NOT each once)"}`,
    "parked shards": outcome.parked.length,
    "workers that died": sum("deaths"),
    "deliveries that began work": sum("runs"),
    "deliveries of what was done already": sum("doneElsewhere"),
    "done twice with other bytes": sum("differing"),
    ...measured,
  }
  for (const [title, value] of Object.entries(rows)) console.log(`${title.padEnd(40)} ${value}`)
  if (!once || outcome.completions.length !== parameters.shards || sum("differing") > 0) process.exitCode = 1
}

/** Memory and processor time of the server's process, and its messages, each since its last start. */
class ServerWatch {
  memory = 0
  processorSeconds = 0
  messages = { in: 0, out: 0 }

  constructor(
    private readonly server: NatsServer,
    private readonly monitoring: number,
  ) {}

  async sample(): Promise<void> {
    const status = await readFile(`/proc/${this.server.pid}/status`, "utf8")
    this.memory = Math.max(this.memory, Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) / 1024)
    const times = (await readFile(`/proc/${this.server.pid}/stat`, "utf8")).split(") ")[1]!.split(" ")
    this.processorSeconds = (Number(times[11]) + Number(times[12])) / 100
    const answer = await fetch(`http://127.0.0.1:${this.monitoring}/varz`)
    const { in_msgs, out_msgs } = (await answer.json()) as Readonly<Record<"in_msgs" | "out_msgs", number>>
    this.messages = { in: in_msgs, out: out_msgs }
  }
}

async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true })
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** The counts that a process reports when its workers have ended. */
function startFleet(index: number, url: string): Promise<FleetCounts> {
  const options = process.argv.slice(2).filter((option) => option !== "--restart")
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), [...options, "--fleet", String(index), "--url", url])
  return new Promise((resolve, reject) => {
    child.once("message", (counts) => resolve(counts as FleetCounts))
    child.once("exit", (code) => reject(new Error(`a process of workers ended with ${code}`)))
  })
}

// The workers' side

async function fleet(index: number, url: string): Promise<void> {
  process.on("disconnect", () => process.exit(1))
  const { workers, processes } = parameters
  const counts: FleetCounts = { runs: 0, done: 0, doneElsewhere: 0, differing: 0, failed: 0, parked: 0, deaths: 0 }
  const random = new Random(index)
  const size = Math.floor((workers + index) / processes)
  await Promise.all(
    Array.from({ length: size }, async (_, i) => {
      // Machines do not start in the same millisecond.
      await sleep((i / size) * 5000)
      while (!(await live(url, random, counts))) await sleep(1000 + 4000 * random.uniform())
    }),
  )
  await new Promise((resolve) => process.send!(counts, resolve))
  process.disconnect()
}

/** One worker's life; true where it ended because the job is done. */
async function live(url: string, random: Random, counts: FleetCounts): Promise<boolean> {
  const connection = await connectNats(await natsSettings(url, {}), "simulated worker").catch(() => null)
  if (!connection) return false
  const seconds = -parameters.lifeSeconds * Math.log(1 - random.uniform())
  let died = false
  const death = setTimeout(() => {
    died = true
    counts.deaths++
    void connection.close()
  }, seconds * 1000)
  try {
    const job = (await waitForJob(connection, "simulation"))!
    await runWorker(job, timer(counts), { onEvent: (event) => count(counts, event) })
    return true
  } catch (error) {
    if (!died) throw error
    return false
  } finally {
    clearTimeout(death)
    await connection.close()
  }
}

function count(counts: FleetCounts, event: AttemptEvent): void {
  if (event.kind === "released" || event.kind === "returned" || event.kind === "malformed") return
  counts[event.kind]++
  if (event.kind === "doneElsewhere" && event.differs) counts.differing++
}

/** A shard's time and result depend on its index alone. */
function timer(counts: FleetCounts): ModelRunner {
  return {
    slots: 1,
    identity: "timer",
    async run(task, { signal, onProgress } = {}) {
      counts.runs++
      const random = new Random(task.index)
      const seconds = parameters.shardSeconds * (0.5 + random.uniform())
      for (let step = 1; step <= 4; step++) {
        await sleep((seconds * 1000) / 4, undefined, signal ? { signal } : {})
        onProgress?.((samplesPerShard * step) / 4)
      }
      const sha256 = createHash("sha256").update(String(task.index)).digest("hex")
      return { ...task, samples: samplesPerShard, problems: [], bytes: 1.1e9, sha256, models: "timer", seconds }
    },
    async [Symbol.asyncDispose]() {},
  }
}

if (values.fleet === undefined) await simulate()
else await fleet(Number(values.fleet), values.url!)
