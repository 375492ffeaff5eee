/**
 * Search of vectors: ours against LanceDB, usearch and sqlite-vec, in one command.
 *
 *     npm run build && node dist/bench/search-scan.js [--rows 80000,1000000] [--dim 512] [--rounds 10] [--threads 2]
 *                                                     [--sides NAME,...] [--json FILE]
 *
 * Ten million rows, by ours alone, because the others make copies (10 GB in the system's temporary folder, and as much memory
 * that is free for the file's pages):
 *
 *     node dist/bench/search-scan.js --rows 10000000 --sides "mobileclip addon,mobileclip codes" --json 10m.json
 *
 * The same float16 vectors for all (bench/search/clustered.ts says how they lie), the best 20, each side in a
 * process of its own, in rounds that alternate; the first query of each is told apart, because it finds files that nobody has
 * mapped. Recall is against float64: a row counts where its score is that of the 20th or more. Then how far an exact scan is
 * from the memory's bandwidth, which is measured in the same run, and what eight queries in one pass and near pairs take.
 */
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"
import { temporaryFolder } from "../src/host/files/temporary.ts"
import { openScanner } from "../src/search/scan/scanner.ts"
import { TopHits } from "../src/search/scan/top-hits.ts"
import { memoryBandwidth } from "./search/bandwidth.ts"
import { Clustered } from "./search/clustered.ts"
import { type Memory, SideProcess } from "./search/side.ts"
import { batchesOf, type Dataset, rowsAt, type Side, sides } from "./search/vector-index.ts"

const [offset, k] = [4096, 20]

interface Row {
  readonly side: Side
  readonly settings: string
  /** Seconds until it could be asked: tables, indexes and codes are made. */
  readonly buildSeconds: number
  readonly firstMs: number
  readonly medianMs: number
  readonly recall: number
  readonly memory: Memory
}

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "80000,1000000" },
    dim: { type: "string", default: "512" },
    rounds: { type: "string", default: "10" },
    threads: { type: "string", default: "2" },
    sides: { type: "string", default: Object.keys(sides).join(",") },
    json: { type: "string" },
  },
})
const [dim, rounds, threads] = [Number(values.dim), Number(values.rounds), Number(values.threads)]
const reports = []
for (const rows of values.rows.split(",").map(Number)) reports.push(await measure(rows))
if (values.json) writeFileSync(values.json, `${JSON.stringify(reports, null, 2)}\n`)

async function measure(rows: number) {
  using folder = temporaryFolder("bench")
  const vectors = new Clustered(1, dim)
  const dataset: Dataset = { path: join(folder.path, "vectors.f16"), folder: folder.path, rows, dim, offset, threads }
  say(`${rows} vectors are made`)
  writeVectors(vectors, dataset)
  const queries = vectors.queries(rounds)
  const questions = questionsOf(dataset, queries)
  const table = await takeRounds(dataset, questions)
  const bandwidth = { before: await memoryBandwidth(threads), more: await more(dataset, queries) }
  const report = { rows, dim, k, threads, table, bytesPerSecond: bandwidth.before, ...bandwidth.more }
  print(report)
  return report
}

/** Sides that are ready, with what they did so far. */
interface Opened {
  readonly side: Side
  readonly own: SideProcess
  readonly settings: string
  readonly buildSeconds: number
  readonly times: number[]
  readonly shares: number[]
  firstMs: number
  memory: Memory | null
}

async function takeRounds(dataset: Dataset, questions: readonly Question[]): Promise<Row[]> {
  const opened: Opened[] = []
  try {
    for (const side of values.sides.split(",") as Side[]) opened.push(await open(side, dataset))
    for (const [round, question] of questions.entries()) {
      for (const one of round % 2 === 0 ? opened : opened.toReversed()) await takeTurn(one, dataset, question)
    }
  } finally {
    await Promise.all(opened.map(({ own }) => own[Symbol.asyncDispose]()))
  }
  return opened.map(({ side, settings, buildSeconds, times, shares, firstMs, memory }) => {
    const recall = shares.reduce((sum, share) => sum + share, 0) / shares.length
    return { side, settings, buildSeconds, firstMs, medianMs: median(times), recall, memory: memory! }
  })
}

async function open(side: Side, dataset: Dataset): Promise<Opened> {
  const own = new SideProcess()
  try {
    const { settings, seconds } = await own.ask<"opened">({ side, dataset })
    say(`${side}: ready after ${seconds.toFixed(1)} s`)
    return { side, own, settings, buildSeconds: seconds, times: [], shares: [], firstMs: 0, memory: null }
  } catch (error) {
    await own[Symbol.asyncDispose]()
    throw error
  }
}

async function takeTurn(one: Opened, dataset: Dataset, { query, least }: Question): Promise<void> {
  if (one.times.length === 0) one.firstMs = (await one.own.ask<"found">({ query, k })).milliseconds
  const found = await one.own.ask<"found">({ query, k })
  one.times.push(found.milliseconds)
  one.memory = found.memory
  const scores = found.positions.map((position) => product(query, rowsAt(dataset, position, 1), 0))
  one.shares.push(scores.filter((score) => score >= least).length / k)
}

interface Question {
  readonly query: Float32Array
  /** The score of the last row that counts. */
  readonly least: number
}

function questionsOf(dataset: Dataset, queries: readonly Float32Array[]): Question[] {
  const tops = queries.map(() => new TopHits(k))
  for (const { first, values } of batchesOf(dataset)) {
    for (const [q, query] of queries.entries()) {
      for (let row = 0; row * dim < values.length; row++) tops[q]!.offer(product(query, values, row), first + row)
    }
  }
  // Libraries that sum in float32 may swap rows that are this near to each other.
  return queries.map((query, q) => ({ query, least: tops[q]!.hits().scores.at(-1)! - 1e-6 }))
}

/** The product of a query and a row of values [N, dim], in float64. */
function product(query: Float32Array, values: Float32Array, row: number): number {
  let sum = 0
  for (let i = 0; i < dim; i++) sum += query[i]! * values[row * dim + i]!
  return sum
}

function writeVectors(vectors: Clustered, { path, rows }: Dataset): void {
  const descriptor = openSync(path, "w")
  writeSync(descriptor, Buffer.alloc(offset, "vectors"))
  for (let first = 0; first < rows; first += 10_000)
    writeSync(descriptor, new Uint8Array(vectors.rows(first, Math.min(10_000, rows - first)).buffer))
  closeSync(descriptor)
}

/** What only ours is asked for. */
async function more({ path, rows }: Dataset, queries: Float32Array[]) {
  const scanner = openScanner(path, { dim, offset, use: "exact" })
  const timed = async (work: () => Promise<unknown>) => {
    const from = performance.now()
    await work()
    return performance.now() - from
  }
  const medianOf = async (work: () => Promise<unknown>) => {
    const times = []
    for (let round = 0; round < 7; round++) times.push(await timed(work))
    return median(times)
  }
  const eight = Array.from({ length: 8 }, (_, i) => queries[i % queries.length]!)
  const oneMs = await medianOf(() => scanner.scan({ query: eight[0]!, count: rows, k, threads }))
  const eightMs = await medianOf(() => scanner.scanMany(eight, { count: rows, k, threads }))
  const pairs = Math.min(rows, 80_000)
  const pairsMs = await timed(() => scanner.nearPairs({ count: pairs, threshold: 0.97, threads }))
  scanner.close()
  return { oneMs, eightMs, pairs, pairsMs }
}

function print(report: Awaited<ReturnType<typeof measure>>): void {
  const { rows, table, bytesPerSecond, oneMs, eightMs, pairs, pairsMs } = report
  const mb = (bytes: number) => (bytes / 1e6).toFixed(0)
  const gigabytes = (rows * dim * 2) / 1e9
  console.log(`\n${rows} x ${dim} float16 (${gigabytes.toFixed(2)} GB), best ${k}, ${rounds} queries\n`)
  console.log(
    "| side | ready after, s | first, ms | median, ms | recall@20 | resident (peak), MB | not of files, MB | settings |",
  )
  console.log("|---|---|---|---|---|---|---|---|")
  for (const { side, settings, buildSeconds, firstMs, medianMs, recall, memory } of table)
    console.log(
      `| ${side} | ${buildSeconds.toFixed(1)} | ${firstMs.toFixed(1)} | ${medianMs.toFixed(1)} | ${recall.toFixed(4)} | ${mb(memory.resident)} (${mb(memory.peak)}) | ${mb(memory.anonymous)} | ${settings} |`,
    )
  const reached = gigabytes / (oneMs / 1000)
  const share = ((100 * reached * 1e9) / bytesPerSecond).toFixed(0)
  console.log(
    `\nmemory is read at ${(bytesPerSecond / 1e9).toFixed(1)} GB/s by ${threads} threads; an exact scan of ${oneMs.toFixed(1)} ms reads ${reached.toFixed(1)} GB/s: ${share} % of it`,
  )
  console.log(
    `eight queries in one pass: ${eightMs.toFixed(1)} ms; near pairs of ${pairs}: ${(pairsMs / 1000).toFixed(1)} s`,
  )
}

function say(line: string): void {
  console.error(line)
}
