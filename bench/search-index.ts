/**
 * How long a folder of pictures takes to be indexed: against the tower alone on the same pictures' pixels and as many threads, in
 * alternating rounds of one run; then searches while another process indexes, the same folder again, the folder moved, and all of it
 * into a second index by a process that is killed `--kills` times, whose rows must be those of the first. Each picture of
 * `--pictures` is copied with a comment of its own until there are `--count` different files. The model has generated weights, but
 * where a folder is named.
 *
 *     npm run build && node dist/bench/search-index.js --pictures DIR [--count 20000] [--rounds 5] [--kills 3]
 *         [--model mobileclip2-s0]
 *
 * `--folder DIR` is where pictures and index are made (default: a temporary folder). Rates count everything: the walk, opening
 * model and threads, hashes, metadata, and the database; the captions of the background, which an index is made with once, are told
 * apart before the rounds. The tower alone computes a picture at a time in each thread, as the index does, with its threads open and
 * its pixels in memory; a rate is each thread's own, until the first of them is through, so that none waits. Processor time tells
 * the same on a machine that others use: it counts what is computed, and not what is waited for.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { generatedClip } from "../src/benchmark/latency/generated.ts"
import { median, quantile } from "../src/core/arrays/quantile.ts"
import { Random } from "../src/core/arrays/random.ts"
import { type VariantName, variants } from "../src/core/family/variants.ts"
import type { Preprocessing } from "../src/core/image/preprocess.ts"
import { exportModel } from "../src/export/export.ts"
import { imageFiles } from "../src/host/image/image-files.ts"
import { preparePixels } from "../src/pictures/prepare-pixels.ts"
import { loadModel, openTower } from "../src/run/node.ts"
import type { TowerPlace } from "../src/run/tower.ts"
import { indexPictures } from "../src/search/indexing/index-pictures.ts"
import { SearchIndex } from "../src/search/search-index.ts"
import { IndexStore } from "../src/search/store/index-store.ts"
import { vectorOffset } from "../src/search/store/vector-file.ts"

const program = fileURLToPath(import.meta.url)
const threads = availableParallelism()
/** Pictures of a round that the tower alone computes: their pixels are in memory. */
const mostBare = 400
/** Pictures by which the index is made: scores are compared with theirs, too. */
const firstPictures = 256

interface BareRequest {
  readonly place: TowerPlace
  readonly preprocessing: Preprocessing
  readonly paths: readonly string[]
  /** Its only number is 1 from when one of the threads is through on. */
  readonly stop: Int32Array
}

interface BareAnswer {
  readonly count: number
  readonly seconds: number
}

if (!isMainThread) await serveBare(workerData)
else await main()

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      pictures: { type: "string" },
      count: { type: "string", default: "20000" },
      rounds: { type: "string", default: "5" },
      kills: { type: "string", default: "3" },
      model: { type: "string", default: "mobileclip2-s0" },
      folder: { type: "string" },
      search: { type: "string" },
      index: { type: "string" },
    },
  })
  if (values.search !== undefined) return search(values.search)
  if (values.index !== undefined)
    return void (await indexPictures(values.index, [values.folder!], { threads, model: values.model }))
  if (values.pictures === undefined) throw new Error("name a folder of JPEG files with --pictures")
  const folder = values.folder ?? mkdtempSync(join(tmpdir(), "search-index-"))
  mkdirSync(folder, { recursive: true })
  try {
    const model = await modelFolder(values.model, folder)
    await measure(folder, model, await jpegFiles(values.pictures), Number(values.count), Number(values.rounds))
    await measureKilled(folder, model, Number(values.kills))
  } finally {
    if (values.folder === undefined) rmSync(folder, { recursive: true, force: true })
  }
}

async function modelFolder(given: string, folder: string): Promise<string> {
  if (existsSync(given)) return given
  const { model: config, preprocessing } = variants[given as VariantName]
  const path = join(folder, given)
  if (!existsSync(path))
    await exportModel(generatedClip(config), { name: given, license: "MIT", samplesSeen: 0, preprocessing }, path)
  return path
}

async function jpegFiles(folder: string): Promise<string[]> {
  const files = (await imageFiles([folder])).filter((path) => /\.jpe?g$/i.test(path))
  if (files.length === 0) throw new Error(`${folder} has no JPEG files`)
  return files
}

async function measure(folder: string, model: string, files: string[], count: number, rounds: number): Promise<void> {
  const [index, pictures] = [join(folder, "index"), join(folder, "pictures")]
  const each = Math.ceil(count / (rounds + 1))
  console.log(`${count} files, ${files.length} photographs with a comment of their own each; ${threads} threads`)
  copies(files, join(pictures, "first"), count, firstPictures)
  const made = await indexSpeed(index, join(pictures, "first"), model, firstPictures)
  console.log(`made with ${firstPictures} pictures, and the captions of its background: ${textOf(made)}`)
  const [indexed, alone]: [Speed[], Speed[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    const part = join(pictures, String(round))
    const paths = copies(files, part, round * each, each)
    const isBareFirst = round % 2 === 0
    if (isBareFirst) alone.push(await bareSpeed(model, paths))
    indexed.push(await indexSpeed(index, part, model, each))
    if (!isBareFirst) alone.push(await bareSpeed(model, paths))
    console.log(`round ${round + 1}: ${textOf(indexed[round]!)} indexed, ${textOf(alone[round]!)} by the tower alone`)
  }
  printShares(indexed, alone)
  await measureSearches(index, model, files, join(pictures, String(rounds)), rounds * each, each)
  await measureAgain(index, pictures)
}

interface Speed {
  /** Pictures a second. */
  readonly rate: number
  /** Processor time of a picture, in milliseconds. */
  readonly processor: number
}

async function indexSpeed(index: string, part: string, model: string, count: number): Promise<Speed> {
  const before = process.cpuUsage()
  const { encoded, seconds } = await indexPictures(index, [part], { model, threads })
  if (encoded !== count) throw new Error(`${encoded} of ${count} were encoded`)
  return { rate: encoded / seconds, processor: processorSince(before) / encoded }
}

/** Milliseconds, of all threads. */
function processorSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

function textOf({ rate, processor }: Speed): string {
  return `${rate.toFixed(1)} pictures/s (${processor.toFixed(2)} ms of a processor each)`
}

/** The share of each round, and of all of them as one run. */
function printShares(indexed: readonly Speed[], alone: readonly Speed[]): void {
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
  const print = (what: string, shares: number[], whole: number) =>
    console.log(
      `share of the tower's ${what}: median ${median(shares).toFixed(3)}, least ${Math.min(...shares).toFixed(3)}, all rounds as one ${whole.toFixed(3)}`,
    )
  const times = (speeds: readonly Speed[]) => sum(speeds.map(({ rate }) => 1 / rate))
  const work = (speeds: readonly Speed[]) => sum(speeds.map(({ processor }) => processor))
  const rates = indexed.map(({ rate }, i) => rate / alone[i]!.rate)
  print("rate", rates, times(alone) / times(indexed))
  const processors = indexed.map(({ processor }, i) => alone[i]!.processor / processor)
  print("processor time", processors, work(alone) / work(indexed))
}

/** A comment right after the first marker makes a file of other bytes and the same pixels. */
function copies(files: readonly string[], folder: string, first: number, count: number): string[] {
  mkdirSync(folder, { recursive: true })
  return Array.from({ length: count }, (_, i) => {
    const bytes = readFileSync(files[(first + i) % files.length]!)
    const comment = Buffer.from(`picture ${first + i}`)
    const marker = Buffer.from([0xff, 0xfe, 0, comment.length + 2])
    const path = join(folder, `${first + i}.jpg`)
    writeFileSync(path, Buffer.concat([bytes.subarray(0, 2), marker, comment, bytes.subarray(2)]))
    return path
  })
}

// -------------------------------------------------------------------------------------------------- the tower alone

/** By threads that each have a tower of one thread and their pixels in memory. */
async function bareSpeed(model: string, all: readonly string[]): Promise<Speed> {
  const { place, preprocessing } = await openedPlace(model)
  const paths = all.slice(0, mostBare)
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const workers = Array.from({ length: threads }, (_, t) => {
    const request: BareRequest = { place, preprocessing, paths: paths.filter((_, i) => i % threads === t), stop }
    return new Worker(program, { workerData: request })
  })
  await Promise.all(workers.map((worker) => once(worker, "message")))
  const before = process.cpuUsage()
  const ended = workers.map((worker) => once(worker, "message"))
  for (const worker of workers) worker.postMessage("begin")
  const computed = (await Promise.all(ended)).map(([answer]) => answer as BareAnswer)
  const processor = processorSince(before)
  await Promise.all(workers.map((worker) => worker.terminate()))
  const pictures = computed.reduce((sum, { count }) => sum + count, 0)
  return {
    rate: computed.reduce((sum, { count, seconds }) => sum + count / seconds, 0),
    processor: processor / pictures,
  }
}

async function openedPlace(model: string): Promise<Pick<BareRequest, "place" | "preprocessing">> {
  await using opened = await loadModel(model)
  if (!opened.place) throw new Error(`${model} has no tower that threads could open`)
  return { place: opened.place, preprocessing: opened.preprocessing }
}

async function serveBare({ place, preprocessing, paths, stop }: BareRequest): Promise<void> {
  const tower = openTower(place, { threads: 1 })
  const pixels: Float32Array[] = []
  for (const path of paths) {
    const out = new Float32Array(3 * preprocessing.size ** 2)
    await preparePixels(readFileSync(path), [{ preprocessing, out }], { name: path, exif: "apply" }, "here")
    pixels.push(out)
  }
  for (const each of pixels.slice(0, 4)) await tower.images(each, 1)
  parentPort!.postMessage("ready")
  await once(parentPort!, "message")
  const before = performance.now()
  let count = 0
  while (count < pixels.length && Atomics.load(stop, 0) === 0) await tower.images(pixels[count++]!, 1)
  Atomics.store(stop, 0, 1)
  parentPort!.postMessage({ count, seconds: (performance.now() - before) / 1000 } satisfies BareAnswer)
}

// ------------------------------------------------------------------------------------------- searches, and runs again

async function measureSearches(
  index: string,
  model: string,
  files: string[],
  part: string,
  first: number,
  count: number,
) {
  await searches(index, "alone")
  copies(files, part, first, count)
  const indexing = startIndexing(index, model, part)
  const ended = once(indexing, "exit")
  await sleep(4000)
  await searches(index, "while another process indexes")
  await ended
}

function startIndexing(index: string, model: string, pictures: string): ChildProcess {
  const words = ["--index", index, "--model", model, "--folder", pictures]
  return spawn(process.execPath, [program, ...words], { stdio: "inherit" })
}

async function searches(index: string, what: string): Promise<void> {
  const child = spawn(process.execPath, [program, "--search", index], { stdio: ["ignore", "pipe", "inherit"] })
  const text = await outputOf(child)
  console.log(`searches ${what}: ${text.trim()}`)
}

async function outputOf(child: ChildProcess): Promise<string> {
  let text = ""
  child.stdout!.on("data", (data) => {
    text += data
  })
  await once(child, "close")
  if (child.exitCode !== 0) throw new Error(`a search ended with ${child.exitCode}`)
  return text
}

/** Each asks for a text that was not asked for before. */
async function search(index: string): Promise<void> {
  await using opened = await SearchIndex.open(index, { cache: false })
  await opened.warm()
  const times: number[] = []
  for (let i = 0; i < 33; i++) {
    const before = performance.now()
    await opened.search({ terms: [{ kind: "text", weight: 1, text: `a red car number ${i}` }] })
    times.push(performance.now() - before)
  }
  const later = times.slice(3)
  console.log(`median ${median(later).toFixed(0)} ms, 95% ${quantile(later, 0.95).toFixed(0)} ms`)
}

async function measureAgain(index: string, pictures: string): Promise<void> {
  const again = await indexPictures(index, [pictures], { threads })
  console.log(
    `the same folder again: ${again.encoded} encoded, ${again.unchanged} as before, ${again.seconds.toFixed(2)} s`,
  )
  renameSync(pictures, `${pictures}-moved`)
  const moved = await indexPictures(index, [`${pictures}-moved`], { threads })
  console.log(`the folder moved: ${moved.encoded} encoded, ${moved.known} known, ${moved.seconds.toFixed(2)} s`)
}

// ------------------------------------------------------------------------------------------------------------- killed

interface Row {
  readonly path: string
  readonly hash: string
  readonly content: number
}

async function measureKilled(folder: string, model: string, kills: number): Promise<void> {
  const [index, pictures] = [join(folder, "killed"), join(folder, "pictures-moved")]
  const whole = contentRows(join(folder, "index"))
  const random = new Random(Date.now())
  for (let kill = 1; kill <= kills; kill++) {
    const child = startIndexing(index, model, pictures)
    const ended = once(child, "exit")
    const enough = (whole.length * (kill - random.uniform())) / (kills + 1)
    while (child.exitCode === null && contentRows(index).length < enough) await sleep(50)
    child.kill("SIGKILL")
    await ended
    console.log(`killed with ${contentRows(index).length} of ${whole.length} files in the index`)
  }
  const { encoded, seconds } = await indexPictures(index, [pictures], { threads, model })
  console.log(`then to the end: ${encoded} encoded, ${seconds.toFixed(0)} s`)
  compareIndexes(join(folder, "index"), index)
}

function contentRows(index: string): Row[] {
  if (!existsSync(join(index, "index.sqlite"))) return []
  using store = IndexStore.open(index)
  const rows = store.rows(
    "SELECT path, hex(hash) AS hash, content FROM files JOIN contents ON contents.id = content ORDER BY path",
  )
  return rows.map(({ path, hash, content }) => ({ path: String(path), hash: String(hash), content: Number(content) }))
}

/** Throws where a file is in one index alone, in one of them twice, or has another vector. */
function compareIndexes(one: string, other: string): void {
  const [expected, found] = [contentRows(one), contentRows(other)]
  const [expectedVectors, foundVectors] = [vectorsOf(one), vectorsOf(other)]
  const names = (rows: Row[]) => rows.map(({ path, hash }) => `${path} ${hash}`).join("\n")
  if (names(found) !== names(expected)) throw new Error("the killed index does not have the files of the other")
  if (new Set(found.map(({ hash }) => hash)).size !== found.length) throw new Error("a content is there twice")
  const differing = found.filter(
    ({ content }, i) => !foundVectors(content).equals(expectedVectors(expected[i]!.content)),
  )
  if (differing.length > 0)
    throw new Error(`${differing.length} files have other vectors, such as ${differing[0]!.path}`)
  console.log(`${found.length} files as in the other index, none twice, every vector the same to the bit`)
}

/** A content's vector, as the bytes of its row. */
function vectorsOf(index: string): (content: number) => Buffer {
  using store = IndexStore.open(index)
  const generation = store.active()
  const bytes = readFileSync(store.vectorsPath(generation))
  const width = 2 * generation.dim
  return (content) => bytes.subarray(vectorOffset + (content - 1) * width, vectorOffset + content * width)
}
