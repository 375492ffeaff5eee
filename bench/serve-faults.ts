/**
 * A server at its worst, measured: its model's process killed again and again under load (no request may be lost), hundreds of slow
 * clients, bulk work that fills the queues while a person asks, and its memory over many requests.
 *
 *     npm run build && node dist/bench/serve-faults.js --pictures DIR [--model mobileclip2-s0] [--kills 6] [--minutes 3]
 *
 * The model has generated weights; memory is measured with a tiny one, which answers more requests in the time. Throws where a
 * request is lost.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { generatedClip } from "../src/benchmark/latency/generated.ts"
import { type VariantName, variants } from "../src/core/family/variants.ts"
import { exportModel } from "../src/export/export.ts"
import { readingDefaults } from "../src/pictures/reading.ts"
import { EmbeddingServer, type ServeOptions } from "../src/serve/server.ts"
import { tinyInfo, tinyModel } from "../test/tiny-model.ts"
import { type LoadOrder, type LoadReport, runLoad } from "./serve/load.ts"

const { values: options } = parseArgs({
  options: {
    pictures: { type: "string" },
    model: { type: "string", default: "mobileclip2-s0" },
    kills: { type: "string", default: "6" },
    minutes: { type: "string", default: "3" },
  },
})

const threads = availableParallelism()

async function main(): Promise<void> {
  if (options.pictures === undefined) throw new Error("name a folder of JPEG files with --pictures")
  const folder = mkdtempSync(join(tmpdir(), "serve-faults-"))
  process.env.XDG_CACHE_HOME = join(folder, "cache")
  try {
    const [model, tiny] = [join(folder, options.model), join(folder, "tiny")]
    const { model: config, preprocessing } = variants[options.model as VariantName]
    await exportModel(
      generatedClip(config),
      { name: options.model, license: "MIT", samplesSeen: 0, preprocessing },
      model,
    )
    await exportModel(tinyModel(), tinyInfo, tiny)
    await measureKills(model)
    await measureSlow(model)
    await measurePriority(model)
    await measureMemory(tiny)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function start(model: string, others: ServeOptions = {}): Promise<EmbeddingServer> {
  const settings = { model, threads, maxPixels: 1e8, ...readingDefaults }
  return EmbeddingServer.start(new Map([["model", settings]]), { port: 0, ...others })
}

function load(server: EmbeddingServer, order: Pick<LoadOrder, "kind" | "clients" | "seconds"> & Partial<LoadOrder>) {
  return runLoad({ url: server.url, pictures: options.pictures!, repeat: null, ...order })
}

/** The process is killed when it has been open for a while, so that a task may lose it more than once. */
async function measureKills(model: string): Promise<void> {
  await using server = await start(model)
  const orders = (["texts", "pictures"] as const).map((kind) => ({ kind, clients: 4 }))
  const together = (seconds: number) => Promise.all(orders.map((order) => load(server, { ...order, seconds })))
  await together(2)
  const quiet = await together(8)
  const pause = 5
  const killing = (async () => {
    for (let kill = 0; kill < Number(options.kills); kill++) {
      await sleep(pause * 1000)
      process.kill((await server.pids())[0]!, "SIGKILL")
    }
  })()
  const killed = await together(pause * (Number(options.kills) + 1))
  await killing
  orders.forEach(({ kind }, i) => {
    requireNoneLost(killed[i]!)
    print(`${kind}, undisturbed`, quiet[i]!)
    print(`${kind}, its process killed ${options.kills} times`, killed[i]!)
    const delay = (killed[i]!.longest - quiet[i]!.longest) / 1000
    console.log(`  the longest took ${delay.toFixed(2)} s more than the longest undisturbed`)
  })
}

function requireNoneLost({ failures }: LoadReport): void {
  if (Object.keys(failures).length > 0) throw new Error(`requests were lost: ${JSON.stringify(failures)}`)
}

async function measureSlow(model: string): Promise<void> {
  await using server = await start(model)
  const order = { kind: "texts", clients: 4, seconds: 8 } as const
  await load(server, { ...order, seconds: 2 })
  print("texts alone", await load(server, order))
  const slow = Array.from({ length: 400 }, (_, i) => slowClient(server, i % 2 === 0))
  const found = await load(server, order)
  print("beside 400 clients that send a byte a second", found)
  requireNoneLost(found)
  for (const { socket, timer } of slow) {
    clearInterval(timer)
    socket.destroy()
  }
}

/** It never ends its headers, or its body. */
function slowClient({ url }: EmbeddingServer, inHeaders: boolean): { socket: Socket; timer: NodeJS.Timeout } {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname).on("error", () => {})
  socket.write(`POST /v1/embeddings HTTP/1.1\r\nHost: a\r\n${inHeaders ? "X-A: " : "Content-Length: 1000\r\n\r\n"}`)
  return { socket, timer: setInterval(() => socket.write("a"), 1000) }
}

async function measurePriority(model: string): Promise<void> {
  await using server = await start(model)
  const query = { kind: "texts", clients: 1, seconds: 10 } as const
  await load(server, { ...query, seconds: 2 })
  print("a person's texts alone", await load(server, query))
  const bulk = load(server, { kind: "texts", clients: 3, seconds: 14, parts: 64 })
  await sleep(2000)
  const beside = await load(server, query)
  print("a person's texts beside bulk work that fills the queue", beside)
  print("the bulk work, in requests of 64 texts", await bulk)
  requireNoneLost(beside)
}

/** With a cache that is soon full. */
async function measureMemory(tiny: string): Promise<void> {
  await using server = await start(tiny, {
    engine: { cacheBytes: 2 ** 20, lifetime: { mostTasks: 1e9, mostBytes: 1e12 } },
  })
  const samples: { readonly answered: number; readonly server: number; readonly model: number }[] = []
  let answered = 0
  const end = performance.now() + 60_000 * Number(options.minutes)
  while (performance.now() < end) {
    for (const kind of ["texts", "pictures"] as const) {
      const report = await load(server, { kind, clients: 8, seconds: 4 })
      requireNoneLost(report)
      answered += report.answered
    }
    const pid = (await server.pids())[0]!
    samples.push({ answered, server: process.memoryUsage.rss(), model: residentBytes(pid) })
  }
  const later = samples.slice(Math.floor(samples.length / 3))
  console.log(`memory, ${answered} requests:`)
  for (const who of ["server", "model"] as const) {
    const [first, last] = [later[0]!, later.at(-1)!].map((sample) => (sample[who] / 2 ** 20).toFixed(0))
    const slope = slopeOf(later.map((sample) => [sample.answered, sample[who] / 2 ** 20]))
    console.log(
      `  ${who}: ${first} MB after a third, ${last} at the end; ${(10_000 * slope).toFixed(2)} MB for 10,000 requests`,
    )
  }
}

/** Linux. */
function residentBytes(pid: number): number {
  return 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1])
}

/** By least squares. */
function slopeOf(points: readonly (readonly [number, number])[]): number {
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const covariance = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0)
  return covariance / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
}

function print(what: string, { answered, seconds, p50, p99, longest, failures }: LoadReport): void {
  const milliseconds = () => `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, longest ${longest.toFixed(0)} ms`
  const times = answered > 0 ? milliseconds() : "none was answered in time"
  const failed = Object.keys(failures).length > 0 ? `, failed ${JSON.stringify(failures)}` : ""
  console.log(`${what}: ${(answered / seconds).toFixed(1)}/s, ${times}${failed}`)
}

await main()
