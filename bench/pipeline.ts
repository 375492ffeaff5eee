/**
 * Files of pictures to vectors: what each stage takes alone, what all take together, and what is left to win. Photographs are made
 * into JPEG files of 640 x 480 and of 12 million pixels; the tower has generated weights, but where a folder is named.
 *
 *     npm run build && node dist/bench/pipeline.js FOLDER [--model mobileclip2-s0] [--pictures 64] [--rounds 5]
 *     node dist/bench/pipeline.js FOLDER --scaled [--model DIR] [--labels-file FILE]
 *                                                     how far the decoder's own scaling takes pixels and vectors away, and labels:
 *                                                     of a trained model's folder
 *     node dist/bench/pipeline.js FOLDER --memory     resident memory after 1,000 and after 20,000 pictures
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import sharp from "sharp"
import { writeTower } from "../src/benchmark/latency/generated.ts"
import { type VariantName, variants } from "../src/core/family/variants.ts"
import type { Preprocessing } from "../src/core/image/preprocess.ts"
import { readBytes } from "../src/host/files/files.ts"
import { readLines } from "../src/host/files/path-list.ts"
import { imageFiles } from "../src/host/image/image-files.ts"
import { encodeFiles, type PixelEncoder } from "../src/pictures/encode-files.ts"
import { preparePixels } from "../src/pictures/prepare-pixels.ts"
import { bakeLabels } from "../src/run/labels/label-vectors.ts"
import { loadModel, openTower } from "../src/run/node.ts"
import type { TowerPlace } from "../src/run/tower.ts"
import { reportDeviation } from "./pipeline/scaled.ts"

const sizes = { "640 x 480": [640, 480], "4000 x 3000": [4000, 3000] } as const
const processors = availableParallelism()

/** Milliseconds for each picture: of a clock, and of processors. */
interface Taken {
  readonly wall: number
  readonly cpu: number
}

interface StageRequest {
  readonly place: TowerPlace
  readonly preprocessing: Preprocessing
  /** Null: the tower alone. */
  readonly paths: readonly string[] | null
  readonly count: number
  readonly batchSize: number
  readonly threads: number
  readonly spinning: boolean
}

if (isMainThread) await main()
else await serve(workerData)

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      model: { type: "string", default: "mobileclip2-s0" },
      pictures: { type: "string" },
      rounds: { type: "string", default: "5" },
      memory: { type: "boolean", default: false },
      scaled: { type: "boolean", default: false },
      "labels-file": { type: "string" },
    },
  })
  const folder = mkdtempSync(join(tmpdir(), "pipeline-"))
  try {
    const photographs = await imageFiles(positionals)
    if (values.scaled && existsSync(values.model)) {
      return await trainedDeviation(values.model, photographs, values["labels-file"], folder)
    }
    const { model, preprocessing } = variants[values.model as VariantName]
    await writeTower(model, "image", folder, "vision_model.onnx", { dtype: "fp32" })
    const names = { input: "pixel_values", output: "image_embeds" }
    const place = { directory: folder, file: "vision_model.onnx", names, imageSize: preprocessing.size }
    const encoder = encoderOf(place, preprocessing, model.embedDim)
    if (values.scaled) await reportDeviation("as they are", encoder, photographs, null)
    if (values.memory) return await memory(encoder, photographs, Number(values.pictures ?? 20_000))
    for (const [name, size] of Object.entries(sizes)) {
      const files = await madeFiles(photographs, size, folder)
      if (values.scaled) await reportDeviation(name, encoder, files, null)
      else await stages(name, encoder, files, Number(values.pictures ?? 64), Number(values.rounds))
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** How far a trained model's vectors and labels are from those of the exact decode. */
async function trainedDeviation(
  directory: string,
  photographs: readonly string[],
  list: string | undefined,
  folder: string,
) {
  await using model = await loadModel(directory)
  const labels = list === undefined ? null : await bakeLabels(model, await readLines(list))
  await reportDeviation("as they are", model, photographs, labels)
  for (const [name, size] of Object.entries(sizes))
    await reportDeviation(name, model, await madeFiles(photographs, size, folder), labels)
}

function encoderOf(place: TowerPlace, preprocessing: Preprocessing, embedDim: number) {
  const tower = openTower(place, { spinning: false })
  const encodePixels = (pixels: Float32Array, count: number) => tower.images(pixels, count)
  return { name: place.file, embedDim, preprocessing, place, encodePixels } satisfies PixelEncoder
}

type BenchEncoder = ReturnType<typeof encoderOf>

async function madeFiles(photographs: readonly string[], [width, height]: readonly [number, number], folder: string) {
  const chosen = photographs.filter((_, i) => i % Math.ceil(photographs.length / 24) === 0)
  return Promise.all(
    chosen.map(async (path, i) => {
      const file = join(folder, `${width}-${i}.jpg`)
      await sharp(path).rotate().resize(width, height).jpeg({ quality: 90 }).toFile(file)
      return file
    }),
  )
}

// ---------------------------------------------------------------------------------------------------- stages

/** Stages in turn, round after round, because other work on the machine comes and goes. */
async function stages(name: string, encoder: BenchEncoder, files: readonly string[], count: number, rounds: number) {
  const { place, preprocessing } = encoder
  const stage = (change: Partial<StageRequest>, workers: number) =>
    measured(workers, {
      ...{ place, preprocessing, paths: null, count: Math.ceil(count / workers), batchSize: 1, threads: 1 },
      ...{ spinning: true, ...change },
    })
  const contenders = {
    "tower, one session that spins, batches of 8": () => stage({ threads: processors, batchSize: 8 }, 1),
    "tower, one session, batches of 8": () => stage({ threads: processors, batchSize: 8, spinning: false }, 1),
    "tower, a session a thread": () => stage({}, processors),
    "files to pixels": () => stage({ paths: files }, processors),
    "all of it": () => together(encoder, files, count),
  }
  const taken = new Map(Object.keys(contenders).map((key): [string, Taken[]] => [key, []]))
  for (let round = 0; round < rounds; round++)
    for (const [key, run] of Object.entries(contenders)) taken.get(key)!.push(await run())
  const middle = new Map([...taken].map(([key, all]) => [key, medianOf(all)]))
  console.log(`\n${name}: ${processors} processors, medians of ${rounds} rounds of ${count} pictures; ms a picture`)
  for (const [key, { wall, cpu }] of middle)
    console.log(`  ${key.padEnd(46)} ${wall.toFixed(1).padStart(7)}   processors ${cpu.toFixed(1).padStart(7)}`)
  const [tower, pixels, all] = ["tower, a session a thread", "files to pixels", "all of it"].map(
    (key) => middle.get(key)!,
  )
  const bound = (tower!.cpu + pixels!.cpu) / processors
  console.log(`  bound: processor time of tower and pixels, shared      ${bound.toFixed(1)}`)
  console.log(
    `  all of it / bound ${(all!.wall / bound).toFixed(3)}, / tower alone ${(all!.wall / tower!.wall).toFixed(3)}`,
  )
  console.log(
    `  processor time: all of it / tower and pixels alone ${(all!.cpu / (tower!.cpu + pixels!.cpu)).toFixed(3)}`,
  )
}

async function together(encoder: BenchEncoder, files: readonly string[], count: number): Promise<Taken> {
  let [done, started] = [0, mark()]
  for await (const batch of encodeFiles(repeated(files, count + 4 * processors), [encoder])) {
    done += batch.length
    // Threads have opened their towers.
    if (done === 2 * processors) started = mark()
    if (done === 2 * processors + count) return since(started, count)
  }
  throw new Error(`${done} pictures were encoded`)
}

function* repeated(files: readonly string[], count: number): Generator<string> {
  for (let i = 0; i < count; i++) yield files[i % files.length]!
}

async function measured(workers: number, request: StageRequest): Promise<Taken> {
  const threads = Array.from(
    { length: workers },
    () => new Worker(fileURLToPath(import.meta.url), { workerData: request }),
  )
  const next = () => Promise.all(threads.map((thread) => new Promise((resolve) => thread.once("message", resolve))))
  await next()
  const started = mark()
  for (const thread of threads) thread.postMessage("go")
  await next()
  const taken = since(started, workers * request.count)
  await Promise.all(
    threads.map((thread) => {
      thread.postMessage("end")
      return new Promise((resolve) => thread.once("exit", resolve))
    }),
  )
  return taken
}

/** In a thread: one stage, once to warm up and then as often as is asked. */
async function serve({ place, preprocessing, paths, count, batchSize, threads, spinning }: StageRequest) {
  const port = parentPort!
  const pixels = new Float32Array(batchSize * 3 * preprocessing.size ** 2).fill(0.5)
  const tower = openTower(place, { threads, spinning })
  const wanted = [{ preprocessing, out: pixels }]
  const step = async (i: number) => {
    if (!paths) return void (await tower.images(pixels, batchSize))
    const name = paths[i % paths.length]!
    await preparePixels(await readBytes(name), wanted, { name }, "here")
  }
  for (let i = 0; i < 2; i++) await step(i)
  port.on("message", async (message) => {
    if (message === "end") return void tower.graph.release().then(() => port.close())
    for (let i = 0; i < count; i += batchSize) await step(i)
    port.postMessage("done")
  })
  port.postMessage("ready")
}

function mark() {
  return { time: performance.now(), cpu: process.cpuUsage() }
}

function since({ time, cpu }: ReturnType<typeof mark>, count: number): Taken {
  const { user, system } = process.cpuUsage(cpu)
  return { wall: (performance.now() - time) / count, cpu: (user + system) / 1000 / count }
}

function medianOf(all: readonly Taken[]): Taken {
  const middle = (key: keyof Taken) => all.map((each) => each[key]).sort((a, b) => a - b)[all.length >> 1]!
  return { wall: middle("wall"), cpu: middle("cpu") }
}

// ---------------------------------------------------------------------------------------------------- memory

async function memory(encoder: BenchEncoder, photographs: readonly string[], count: number): Promise<void> {
  let done = 0
  const marks = new Map<number, number>()
  for await (const batch of encodeFiles(repeated(photographs, count), [encoder], { onChoice: console.log })) {
    done += batch.length
    if (done === 1000 || done === count) marks.set(done, process.memoryUsage.rss())
  }
  const [early, late] = [marks.get(1000)!, marks.get(count)!]
  for (const [pictures, bytes] of marks) console.log(`after ${pictures} pictures: ${(bytes / 1e6).toFixed(0)} MB`)
  console.log(`${(100 * (late / early - 1)).toFixed(1)} % more`)
}
