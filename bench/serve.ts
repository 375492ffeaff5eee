/**
 * How much of a model's rate a server keeps: requests a second and milliseconds over loopback, from 1, 8 and 64 clients in a process
 * of their own, texts and pictures, with batches and without, and of contents that it knows; against the bare towers on the same
 * threads, measured in turns in the same run. The model has generated weights.
 *
 *     npm run build && node dist/bench/serve.js --pictures DIR [--model mobileclip2-s0] [--what texts,pictures]
 *         [--clients 1,8,64] [--seconds 8] [--rounds 7]
 *
 * `--pictures` is a folder of JPEG files. Each content is sent once. Shares are medians over the rounds, of the most clients to the
 * bare tower right before and after: of its rate, and, as that depends on what else a machine does, of its processor time for one
 * content (the bare tower's, divided by that of server and model together).
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { availableParallelism, loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { generatedClip } from "../src/benchmark/latency/generated.ts"
import { median } from "../src/core/arrays/quantile.ts"
import { type VariantName, variants } from "../src/core/family/variants.ts"
import { exportModel } from "../src/export/export.ts"
import { readingDefaults } from "../src/pictures/reading.ts"
import { EmbeddingServer } from "../src/serve/server.ts"
import { type BareRate, barePictures, bareTexts } from "./serve/bare.ts"
import { type LoadOrder, type LoadReport, runLoad } from "./serve/load.ts"

const { values: options } = parseArgs({
  options: {
    pictures: { type: "string" },
    model: { type: "string", default: "mobileclip2-s0" },
    what: { type: "string", default: "texts,pictures" },
    clients: { type: "string", default: "1,8,64" },
    seconds: { type: "string", default: "8" },
    rounds: { type: "string", default: "7" },
  },
})

const threads = availableParallelism()
const seconds = Number(options.seconds)
/** Of a round: short ones that take turns see the same load of the machine. */
const slice = 3
const clients = options.clients.split(",").map(Number)
const most = Math.max(...clients)
type Kind = LoadOrder["kind"]

async function main(): Promise<void> {
  if (options.pictures === undefined) throw new Error("name a folder of JPEG files with --pictures")
  const folder = mkdtempSync(join(tmpdir(), "bench-serve-"))
  process.env.XDG_CACHE_HOME = join(folder, "cache")
  try {
    const model = join(folder, options.model)
    const { model: config, preprocessing } = variants[options.model as VariantName]
    await exportModel(
      generatedClip(config),
      { name: options.model, license: "MIT", samplesSeen: 0, preprocessing },
      model,
    )
    const load = loadavg()[0]!.toFixed(1)
    console.log(`${options.model}, ${threads} threads; the machine's load was ${load} before`)
    for (const kind of options.what.split(",") as Kind[]) {
      for (const textBatch of kind === "texts" ? [32, 1] : [32]) await measure(model, kind, textBatch)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measure(model: string, kind: Kind, textBatch: number): Promise<void> {
  const bare = () =>
    kind === "texts"
      ? bareTexts(model, threads, textBatch, slice)
      : barePictures(model, threads, options.pictures!, { seconds: slice, decodes: false })
  const name = kind === "texts" ? `texts, batches of ${textBatch} at most` : kind
  await using served = await Served.start(model, textBatch)
  await served.ask({ kind, clients: 8, seconds: 2 })
  for (const count of clients) print(`${name}, ${count} clients`, await served.ask({ kind, clients: count }))
  await measureShares(name, () => served.ask({ kind, clients: most, seconds: slice }), bare)
  if (kind === "pictures") {
    const { rate, processorSeconds } = await barePictures(model, threads, options.pictures!, {
      seconds: slice,
      decodes: true,
    })
    console.log(
      `${name}, decoded without a server: ${rate.toFixed(1)}/s, ${(1000 * processorSeconds).toFixed(1)} ms of processor`,
    )
  }
  print(`${name}, 8 clients, known contents`, await served.ask({ kind, clients: 8, seconds: 4, repeat: 16 }))
}

async function measureShares(name: string, ask: () => Promise<Measured>, bare: () => Promise<BareRate>): Promise<void> {
  const [rates, costs, bareRates]: [number[], number[], number[]] = [[], [], []]
  let before = await bare()
  for (let round = 0; round < Number(options.rounds); round++) {
    const { rate, processors } = await ask()
    const after = await bare()
    bareRates.push((before.rate + after.rate) / 2)
    rates.push(rate / bareRates.at(-1)!)
    const own = (processors.server + processors.model) / rate
    costs.push((before.processorSeconds + after.processorSeconds) / 2 / own)
    before = after
  }
  const all = (shares: number[]) =>
    `${median(shares).toFixed(3)} (${Math.min(...shares).toFixed(3)} to ${Math.max(...shares).toFixed(3)})`
  console.log(`${name}: ${median(bareRates).toFixed(1)}/s by the bare tower; share of ${most} clients ${all(rates)}`)
  console.log(`${name}: ${(1000 * before.processorSeconds).toFixed(1)} ms of processor by it; share ${all(costs)}`)
}

interface Measured extends LoadReport {
  readonly rate: number
  /** Processors in use. */
  readonly processors: { readonly server: number; readonly model: number; readonly clients: number }
}

class Served implements AsyncDisposable {
  private constructor(private readonly server: EmbeddingServer) {}

  static async start(model: string, textBatch: number): Promise<Served> {
    const settings = { model, threads, maxPixels: 1e8, ...readingDefaults }
    return new Served(await EmbeddingServer.start(new Map([["model", settings]]), { port: 0, engine: { textBatch } }))
  }

  async ask(order: Pick<LoadOrder, "kind" | "clients"> & Partial<LoadOrder>): Promise<Measured> {
    const pid = (await this.server.pids())[0]!
    const [own, model] = [process.cpuUsage(), processorSeconds(pid)]
    const report = await runLoad({ url: this.server.url, pictures: options.pictures!, seconds, repeat: null, ...order })
    const failed = Object.entries(report.failures).map(([what, count]) => `${count} of ${what}`)
    if (failed.length > 0) console.log(`  failed: ${failed.join(", ")}`)
    const { user, system } = process.cpuUsage(own)
    const processors = {
      server: (user + system) / 1e6 / report.seconds,
      model: (processorSeconds(pid) - model) / report.seconds,
      clients: report.processorSeconds / report.seconds,
    }
    return { ...report, processors, rate: report.answered / report.seconds }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
  }
}

/** That a process took; Linux. */
function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ")
  // User and system, in hundredths of a second.
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function print(what: string, { rate, p50, p99, processors }: Measured): void {
  const { server, model, clients } = processors
  const used = `server ${server.toFixed(2)}, model ${model.toFixed(2)}, clients ${clients.toFixed(2)}`
  console.log(`${what}: ${rate.toFixed(1)}/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms; processors: ${used}`)
}

await main()
