/**
 * A server at its worst, measured: its model's process killed again and again under load (no request may be lost), hundreds of slow
 * clients, bulk work that fills the queues while a person asks, and its memory over many requests.
 *
 *     npm run build && node dist/bench/serve-faults.js --pictures DIR [--what kills,slow,priority,memory]
 *         [--model mobileclip2-s0] [--kills 6] [--pause 5] [--rounds 5] [--requests 72000] [--grown-mb 16]
 *
 * `--pictures` is a folder of JPEG files. The model has generated weights; memory is measured with a tiny one, and an index of the
 * pictures. Throws where a request is lost, or a process has grown by more than `--grown-mb` in the last third of the requests.
 */
import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"
import type { EmbeddingServer } from "../src/serve/server.ts"
import { type LoadOrder, type LoadReport, runLoad } from "./serve/load.ts"
import { lastThird, measureMemory, processes } from "./serve/memory.ts"
import { generatedModel, inOwnFolder, startServer } from "./serve/start.ts"

const { values: options } = parseArgs({
  options: {
    pictures: { type: "string" },
    what: { type: "string", default: "kills,slow,priority,memory" },
    model: { type: "string", default: "mobileclip2-s0" },
    kills: { type: "string", default: "6" },
    pause: { type: "string", default: "5" },
    rounds: { type: "string", default: "5" },
    requests: { type: "string", default: "72000" },
    "grown-mb": { type: "string", default: "16" },
  },
})

const measures = { kills: measureKills, slow: measureSlow, priority: measurePriority } as const
const rounds = Number(options.rounds)

async function main(): Promise<void> {
  const what = options.what.split(",")
  await inOwnFolder(async (folder) => {
    const isGenerated = what.some((name) => name in measures)
    const model = isGenerated ? await generatedModel(folder, options.model) : ""
    for (const [name, measure] of Object.entries(measures)) if (what.includes(name)) await measure(model)
    if (what.includes("memory")) await reportMemory(folder)
  })
}

function pictures(): string {
  if (options.pictures === undefined) throw new Error("name a folder of JPEG files with --pictures")
  return options.pictures
}

type Order = Pick<LoadOrder, "kind" | "clients" | "seconds"> & Partial<LoadOrder>

/** Throws where a request is lost. */
async function load(server: EmbeddingServer, order: Order): Promise<LoadReport> {
  const report = await runLoad({ url: server.url, pictures: pictures(), repeat: null, ...order })
  const { failures } = report
  if (Object.keys(failures).length > 0) throw new Error(`requests were lost: ${JSON.stringify(failures)}`)
  return report
}

/** The process is killed when it has been open for a while, so that a task may lose it more than once. */
async function measureKills(model: string): Promise<void> {
  await using server = await startServer(model)
  const orders = (["texts", "pictures"] as const).map((kind) => ({ kind, clients: 4 }))
  const together = (seconds: number) => Promise.all(orders.map((order) => load(server, { ...order, seconds })))
  const [kills, pause] = [Number(options.kills), Number(options.pause)]
  await together(2)
  const quiet = await together(8)
  const gaps: number[] = []
  const killing = (async () => {
    for (let kill = 0; kill < kills; kill++) {
      await sleep(pause * 1000)
      gaps.push(await killModel(server))
    }
  })()
  const killed = await together(pause * (kills + 1))
  await killing
  console.log(`another process was open after ${gaps.map((gap) => gap.toFixed(0)).join(", ")} ms`)
  orders.forEach(({ kind }, i) => {
    print(`${kind}, undisturbed`, quiet[i]!)
    print(`${kind}, their process killed ${kills} times`, killed[i]!)
    const delay = (killed[i]!.longest - quiet[i]!.longest) / 1000
    console.log(`  the longest took ${delay.toFixed(2)} s more than the longest undisturbed`)
  })
}

/** Milliseconds until another process is open. */
async function killModel(server: EmbeddingServer): Promise<number> {
  while (server.pids().length === 0) await sleep(5)
  const [pid] = server.pids()
  process.kill(pid!, "SIGKILL")
  const began = performance.now()
  while (server.pids().length === 0 || server.pids()[0] === pid) await sleep(1)
  return performance.now() - began
}

const slowCount = 200

/** Rounds with and without them take turns, so that both see the same load of the machine. */
async function measureSlow(model: string): Promise<void> {
  await using server = await startServer(model)
  const order = { kind: "texts", clients: 4, seconds: 4 } as const
  await load(server, { ...order, seconds: 2 })
  const [alone, beside]: [LoadReport[], LoadReport[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    alone.push(await load(server, order))
    const slow = Array.from({ length: slowCount }, (_, i) => slowClient(server, i % 2 === 0))
    beside.push(await load(server, order))
    for (const { socket, timer } of slow) {
      clearInterval(timer)
      if (socket.destroyed) throw new Error("a slow client was ended before its time: it did not burden anyone")
      socket.destroy()
    }
  }
  printMedians("4 clients' texts", alone)
  printMedians(`4 clients' texts beside ${slowCount} that send a byte a second`, beside)
}

/** It never ends its headers, or its body. */
function slowClient({ url }: EmbeddingServer, isInHeaders: boolean): { socket: Socket; timer: NodeJS.Timeout } {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname).on("error", () => {})
  const head = "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
  socket.write(`${head}${isInHeaders ? "X-A: " : "Content-Length: 1000\r\n\r\n"}`)
  return { socket, timer: setInterval(() => socket.write("a"), 1000) }
}

/**
 * A person's text is alone in its request, or beside eight that the cache has: the same work for the model, but a request of nine
 * parts is bulk work, and waits its turn.
 */
async function measurePriority(model: string): Promise<void> {
  await using server = await startServer(model)
  const query = { kind: "texts", clients: 1, seconds: 5 } as const
  const turns = Math.ceil(rounds / 2)
  await load(server, { ...query, seconds: 2, known: 8 })
  const [alone, first, last]: [LoadReport[], LoadReport[], LoadReport[]] = [[], [], []]
  for (let turn = 0; turn < turns; turn++) alone.push(await load(server, query))
  const bulk = load(server, { kind: "texts", clients: 3, seconds: 3 + 2 * turns * (query.seconds + 1), parts: 64 })
  await sleep(2000)
  for (let turn = 0; turn < turns; turn++) {
    first.push(await load(server, query))
    last.push(await load(server, { ...query, known: 8 }))
  }
  printMedians("a person's texts alone", alone)
  printMedians("beside bulk work of 3 x 64 texts, with priority", first)
  printMedians("beside bulk work of 3 x 64 texts, without priority", last)
  print("the bulk work, in requests of 64 texts", await bulk)
}

async function reportMemory(folder: string): Promise<void> {
  const requests = Number(options.requests)
  const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
  let done = 0
  const found = await measureMemory(folder, {
    ...{ requests, pictures: pictures() },
    onPart: (part, { answered, seconds }) => {
      done += answered
      const sizes = processes.map((name) => `${name} ${megabytes(part[name])} MB`).join(", ")
      console.log(`after ${done} requests (${(answered / seconds).toFixed(0)}/s): ${sizes}`)
    },
  })
  for (const name of processes) {
    const grown = lastThird(found, name)
    console.log(`${name}: ${megabytes(grown)} MB more in the last third`)
    if (grown > Number(options["grown-mb"]) * 2 ** 20)
      throw new Error(`the ${name}'s process has grown by more than ${options["grown-mb"]} MB`)
  }
}

function printMedians(what: string, reports: readonly LoadReport[]): void {
  const of = (value: (report: LoadReport) => number) => median(reports.map(value))
  const rate = of(({ answered, seconds }) => answered / seconds)
  const [p50, p99, longest] = [of(({ p50 }) => p50), of(({ p99 }) => p99), Math.max(...reports.map((r) => r.longest))]
  console.log(
    `${what}: ${rate.toFixed(1)}/s, p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms (medians of ${reports.length}), longest ${longest.toFixed(0)} ms`,
  )
}

function print(what: string, { answered, seconds, p50, p99, longest }: LoadReport): void {
  const times = `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, longest ${longest.toFixed(0)} ms`
  console.log(`${what}: ${(answered / seconds).toFixed(1)}/s, ${answered > 0 ? times : "none was answered in time"}`)
}

await main()
