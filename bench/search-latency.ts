/**
 * How long a search takes: a process of its own to its first results, and queries of one that is open, alone, with filters, with
 * words, page after page, and while another process adds pictures. The index is generated (rows, files and words in SQLite), and
 * so is its model, which has the size of MobileCLIP2-S0.
 *
 *     npm run build && node dist/bench/search-latency.js [--rows 80000,1000000] [--rounds 9] [--queries 50] [--folder DIR]
 *
 * `--folder` keeps what was generated. Medians and, of queries, the 95th percentile; memory is what the process has beside the
 * pages of the file of vectors (PSS, Linux).
 */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { generatedClip } from "../src/benchmark/latency/generated.ts"
import { median, quantile } from "../src/core/arrays/quantile.ts"
import { variants } from "../src/core/family/variants.ts"
import { exportModel } from "../src/export/export.ts"
import { updateBackgroundPictures } from "../src/search/calibrate/make-background.ts"
import type { Filters } from "../src/search/query/filters.ts"
import { findIndexModel } from "../src/search/query/find-index-model.ts"
import type { SearchRequest } from "../src/search/query/search-request.ts"
import { SearchIndex } from "../src/search/search-index.ts"
import { IndexWriter } from "../src/search/store/index-writer.ts"
import type { NewPicture } from "../src/search/store/picture-rows.ts"

const { values: options } = parseArgs({
  options: {
    rows: { type: "string", default: "80000,1000000" },
    rounds: { type: "string", default: "9" },
    queries: { type: "string", default: "50" },
    folder: { type: "string" },
    append: { type: "string" },
  },
})

const variant = "mobileclip2-s0"
const dim = variants[variant].model.embedDim
const program = fileURLToPath(import.meta.url)
const command = fileURLToPath(new URL("../../bin/mobileclip.js", import.meta.url))

async function measure(): Promise<void> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "search-latency-"))
  mkdirSync(folder, { recursive: true })
  process.env.XDG_CACHE_HOME = join(folder, "cache")
  const model = join(folder, variant)
  try {
    if (!existsSync(model)) {
      const { model: config, preprocessing } = variants[variant]
      await exportModel(generatedClip(config), { name: variant, license: "MIT", samplesSeen: 0, preprocessing }, model)
    }
    for (const rows of options.rows.split(",").map(Number))
      await measureRows(join(folder, `index-${rows}`), model, rows)
  } finally {
    if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
  }
}

async function measureRows(index: string, model: string, rows: number): Promise<void> {
  if (!existsSync(index)) await generate(index, model, rows)
  console.log(`${rows.toLocaleString("en")} pictures`)
  await measureStarts(index)
  await using open = await SearchIndex.open(index)
  await open.warm()
  for (const [name, request] of Object.entries(requests)) await measureQueries(open, name, request)
  await measurePages(open)
  console.log(`  memory beside the file's pages: ${ownMegabytes(index)} MB`)
  const writer = spawn(process.execPath, [program, "--append", index], { stdio: ["ignore", "pipe", "inherit"] })
  await new Promise((resolve) => writer.stdout.once("data", resolve))
  await measureQueries(open, "while another process adds pictures", {})
  await measureQueries(open, "the same with a broad filter", { filters: broad })
  await ended(writer)
}

const broad: Filters = { shapes: ["landscape"] }

const requests: Record<string, Partial<SearchRequest>> = {
  "text, words": {},
  "text alone": { words: 0 },
  "selective filter": { filters: { taken: { from: "2023-07-14T00:00:00", until: "2023-07-15T00:00:00" } } },
  "broad filter": { filters: broad },
  "folder filter": { filters: { folders: ["/pictures/17"] } },
}

/** With a text that was never looked for, and one that was. */
async function measureStarts(index: string): Promise<void> {
  const rounds = Array.from({ length: Number(options.rounds) }, (_, i) => i)
  await startOf("first of all", index)
  for (const [what, text] of Object.entries({ "a new text": null, "a text of before": "first of all" })) {
    const starts = []
    for (const i of rounds) starts.push(await startOf(text ?? `a red car number ${i} ${Date.now()}`, index))
    const [shown, ended] = [starts.map(({ shown }) => shown), starts.map(({ ended }) => ended)]
    console.log(
      `  process, ${what}: first results ${median(shown).toFixed(0)} ms (least ${Math.min(...shown).toFixed(0)}), end ${median(ended).toFixed(0)} ms`,
    )
  }
}

/** Milliseconds until a process printed its first results, and until it ended. */
async function startOf(text: string, index: string): Promise<{ shown: number; ended: number }> {
  const before = performance.now()
  const child = spawn(process.execPath, [command, "search", text, "--index", index], {
    stdio: ["ignore", "pipe", "ignore"],
  })
  const exit = ended(child)
  let shown = Number.NaN
  child.stdout.once("data", () => {
    shown = performance.now() - before
  })
  await exit
  if (child.exitCode !== 0) throw new Error(`search ended with ${child.exitCode}`)
  return { shown, ended: performance.now() - before }
}

let asked = 0
/** Texts of an earlier run are kept. */
const run = Date.now().toString(36)

async function measureQueries(index: SearchIndex, name: string, request: Partial<SearchRequest>): Promise<void> {
  const ask = () =>
    index.search({
      ...request,
      terms: [{ kind: "text", weight: 1, text: `dog beach${asked++ % 7} winter ${asked} ${run}` }],
    })
  const before = performance.now()
  const first = await ask()
  const firstTime = performance.now() - before
  const times: number[] = []
  const steps: Record<string, number[]> = {}
  for (let i = 0; i < Number(options.queries); i++) {
    const start = performance.now()
    const page = await ask()
    times.push(performance.now() - start)
    for (const [step, ms] of Object.entries(page.elapsedMs)) steps[step] = [...(steps[step] ?? []), ms]
  }
  const parts = Object.entries(steps).map(([step, all]) => `${step} ${median(all).toFixed(1)}`)
  const left = first.filtered === null ? "" : `, ${first.filtered.toLocaleString("en")} left`
  console.log(
    `  ${name}: median ${median(times).toFixed(1)} ms, 95% ${quantile(times, 0.95).toFixed(1)} ms, first ${firstTime.toFixed(0)} ms${left} (${parts.join(", ")})`,
  )
}

async function measurePages(index: SearchIndex): Promise<void> {
  const times: number[] = []
  let cursor: string | null = null
  for (let page = 0; page < 20; page++) {
    const before = performance.now()
    const found = await index.search({ cursor, terms: [{ kind: "text", weight: 1, text: "dog beach1" }] })
    times.push(performance.now() - before)
    cursor = found.cursor
    if (cursor === null) break
  }
  console.log(`  pages 2 to ${times.length}: median ${median(times.slice(1)).toFixed(1)} ms`)
}

/** PSS of what is not the file of vectors. */
function ownMegabytes(index: string): string {
  if (process.platform !== "linux") return "unknown"
  let [kilobytes, isVectors] = [0, false]
  for (const line of readFileSync("/proc/self/smaps", "utf8").split("\n")) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) isVectors = line.includes(`${index}/vectors-`)
    const pss = /^Pss:\s+(\d+) kB/.exec(line)?.[1]
    if (pss !== undefined && !isVectors) kilobytes += Number(pss)
  }
  return (kilobytes / 1024).toFixed(0)
}

async function generate(index: string, model: string, rows: number): Promise<void> {
  using writer = await IndexWriter.open(index, "bench/search-latency")
  const { identity } = await findIndexModel(model, null)
  const settings = { orientation: "apply", decode: "exact", store: "file" } as const
  const generation = writer.addGeneration({ model: variant, source: model, identity, dim, settings })
  writer.store.run("INSERT INTO roots (id, path) VALUES (1, '/pictures')")
  for (let first = 0; first < rows; first += 10_000)
    writer.addPictures(generation, pictures(first, Math.min(10_000, rows - first)))
  writer.store.writing(() => {
    for (let i = 0; i < 256; i++)
      writer.store.run(
        "INSERT INTO background VALUES (?, 'prompt', ?, NULL, ?)",
        ...([generation.id, i, new Uint8Array(vectorOf(i).buffer)] as const),
      )
  })
  await updateBackgroundPictures(writer, generation)
}

function pictures(first: number, count: number): NewPicture[] {
  return Array.from({ length: count }, (_, i) => pictureOf(first + i))
}

const subjects = ["dog", "cat", "beach", "mountain", "car", "house", "child", "tree", "street", "flower"]

function pictureOf(n: number): NewPicture {
  const hash = new Uint8Array(32)
  new DataView(hash.buffer).setUint32(0, n)
  const day = new Date(Date.UTC(2015, 0, 1) + (n % 4000) * 86_400_000).toISOString().slice(0, 10)
  const subject = subjects[Math.floor(random(n) * subjects.length)]!
  return {
    vector: vectorOf(n),
    content: {
      ...{ hash, bytes: 1_000_000 + n, format: "jpg", width: n % 3 ? 4000 : 3000, height: n % 3 ? 3000 : 4000 },
      ...{ orientation: 1, taken: `${day}T12:00:00`, camera: `Camera ${n % 20}`, lens: null },
      ...{ latitude: 48 + random(n + 1), longitude: 11 + random(n + 2), sharpness: random(n + 3) },
      ...{ caption: n % 10 === 0 ? `a ${subject} on ${subject}${n % 1000}` : null, keywords: [] },
    },
    files: [{ root: 1, path: `${n % 100}/album${n % 5000}/IMG_${n}.jpg`, size: 1_000_000 + n, mtime: n }],
  }
}

/** In [0, 1). */
function random(seed: number): number {
  let x = (seed + 0x9e3779b9) | 0
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32
}

function vectorOf(n: number): Float32Array {
  const vector = Float32Array.from({ length: dim }, (_, d) => random(n * 7919 + d) - 0.5)
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

/** Batches of 64 pictures for some seconds. */
async function append(index: string): Promise<void> {
  using writer = await IndexWriter.open(index, "bench/search-latency")
  const end = Date.now() + 8000
  process.stdout.write("writing\n")
  while (Date.now() < end) {
    writer.addPictures(writer.active!, pictures(writer.store.count, 64))
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function ended(child: ChildProcess): Promise<unknown> {
  return child.exitCode === null ? new Promise((resolve) => child.once("exit", resolve)) : Promise.resolve()
}

if (options.append !== undefined) await append(options.append)
else await measure()
