/**
 * How much of a model's rate a server keeps: requests a second and milliseconds over loopback, from 1, 8 and 64 clients in a process
 * of their own, texts and pictures, with batches and without, and of contents that it knows; against the bare towers on the same
 * threads, measured in turns in the same run. The model has generated weights.
 *
 *     npm run build && node dist/bench/serve.js --pictures DIR [--model mobileclip2-s0] [--what same,texts,pictures,batches]
 *         [--clients 1,8,64] [--seconds 8] [--rounds 7]
 *
 * same: the server's vectors against the library's; the run ends where they differ. batches: the bare towers by batch, without a
 * server.
 *
 * `--pictures` is a folder of JPEG files. Each content is sent once. Shares are medians over the rounds, of the most clients to the
 * bare tower right before and after: of its rate, and, as that depends on what else a machine does, of its processor time for one
 * content (the bare tower's, divided by that of server and model together).
 */
import { readFileSync } from "node:fs"
import { availableParallelism, loadavg } from "node:os"
import { parseArgs } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"
import type { EmbeddingServer } from "../src/serve/server.ts"
import { MobileCLIP } from "../src/weights/clip-node.ts"
import { type BareRate, bareBatches, barePictures, bareTexts } from "./serve/bare.ts"
import { jpegFiles, type LoadOrder, type LoadReport, runLoad, textOf } from "./serve/load.ts"
import { generatedModel, inOwnFolder, startServer } from "./serve/start.ts"

const { values: options } = parseArgs({
  options: {
    pictures: { type: "string" },
    model: { type: "string", default: "mobileclip2-s0" },
    what: { type: "string", default: "same,texts,pictures,batches" },
    clients: { type: "string", default: "1,8,64" },
    seconds: { type: "string", default: "8" },
    rounds: { type: "string", default: "7" },
  },
})

const threads = availableParallelism()
const seconds = Number(options.seconds)
/** Seconds of a round: short ones that take turns see the same load of the machine. */
const slice = 3
const clients = options.clients.split(",").map(Number)
const most = Math.max(...clients)
type Kind = "texts" | "pictures"

async function main(): Promise<void> {
  const what = options.what.split(",")
  await inOwnFolder(async (folder) => {
    const model = await generatedModel(folder, options.model)
    const load = loadavg()[0]!.toFixed(1)
    console.log(`${options.model}, ${threads} threads; the machine's load was ${load} before`)
    if (what.includes("same")) await requireSame(model)
    if (what.includes("texts")) for (const textBatch of [32, 1]) await measure(model, "texts", textBatch)
    if (what.includes("pictures")) await measure(model, "pictures", 32)
    if (what.includes("batches")) for (const tower of ["text", "image"] as const) await measureBatches(model, tower)
  })
}

function pictures(): string {
  if (options.pictures === undefined) throw new Error("name a folder of JPEG files with --pictures")
  return options.pictures
}

/** Twenty texts and six pictures in one request. Throws where a vector is not the library's. */
async function requireSame(model: string): Promise<void> {
  const texts = Array.from({ length: 20 }, (_, i) => textOf(i))
  const files = jpegFiles(pictures()).slice(0, 6)
  const bytes = files.map((path) => readFileSync(path))
  await using served = await Served.start(model, 32)
  const found = await served.vectors([...texts, ...bytes.map((each) => ({ image: each.toString("base64") }))])
  await using clip = await MobileCLIP.load(model, { threads })
  const { embedDim } = clip
  const own = [...(await clip.encodeTexts(texts)), ...(await clip.encodeImages(bytes))]
  const least = Math.min(
    ...found.map((row, i) => row.reduce((sum, value, j) => sum + value * own[i * embedDim + j]!, 0)),
  )
  console.log(`20 texts and ${files.length} pictures in one request: cosines to the library's vectors from ${least} on`)
  if (!(least > 0.99999)) throw new Error("the server's vectors are not the library's")
}

async function measureBatches(model: string, tower: "text" | "image"): Promise<void> {
  const found = await bareBatches(model, tower, { threads, seconds: 0.5, rounds: Number(options.rounds) })
  const alone = median(found.get(1)!.map(({ rate }) => rate))
  for (const [batch, rates] of found) {
    const rate = median(rates.map((each) => each.rate))
    const cost = 1000 * median(rates.map(({ processorSeconds }) => processorSeconds))
    const gain = (rate / alone).toFixed(2)
    console.log(
      `${tower} tower, batches of ${batch}: ${rate.toFixed(1)}/s, ${gain} of one by one, ${cost.toFixed(1)} ms of processor each`,
    )
  }
}

async function measure(model: string, kind: Kind, textBatch: number): Promise<void> {
  const bare = () =>
    kind === "texts"
      ? bareTexts(model, threads, textBatch, slice)
      : barePictures(model, threads, pictures(), { seconds: slice, decodes: false })
  const name = kind === "texts" ? `texts, batches of ${textBatch} at most` : kind
  await using served = await Served.start(model, textBatch)
  await served.ask({ kind, clients: 8, seconds: 2 })
  for (const count of clients) print(`${name}, ${count} clients`, await served.ask({ kind, clients: count }))
  await measureShares(name, () => served.ask({ kind, clients: most, seconds: slice }), bare)
  if (kind === "pictures") {
    const { rate, processorSeconds } = await barePictures(model, threads, pictures(), {
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
    return new Served(await startServer(model, { engine: { textBatch } }))
  }

  async vectors(input: readonly (string | object)[]): Promise<number[][]> {
    const headers = { "content-type": "application/json" }
    const answer = await fetch(`${this.server.url}/v1/embeddings`, {
      method: "POST",
      headers,
      body: JSON.stringify({ input }),
    })
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`)
    return ((await answer.json()) as { data: { embedding: number[] }[] }).data.map(({ embedding }) => embedding)
  }

  async ask(order: Pick<LoadOrder, "kind" | "clients"> & Partial<LoadOrder>): Promise<Measured> {
    const pid = this.server.pids()[0]!
    const [own, model] = [process.cpuUsage(), processorSeconds(pid)]
    const report = await runLoad({ url: this.server.url, pictures: pictures(), seconds, repeat: null, ...order })
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
