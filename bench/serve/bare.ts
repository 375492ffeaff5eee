/** What a model does without a server, on the same threads: its text tower on all of them, image towers on one each. */
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import type { Preprocessing } from "../../src/core/image/preprocess.ts"
import { preparePixels } from "../../src/pictures/prepare-pixels.ts"
import { loadModel, openTower } from "../../src/run/node.ts"
import type { TowerPlace } from "../../src/run/tower.ts"
import { jpegFiles, textOf } from "./load.ts"

export interface BareRate {
  /** Texts or pictures a second. */
  readonly rate: number
  /** One takes so many. */
  readonly processorSeconds: number
}

export async function bareTexts(model: string, threads: number, batch: number, seconds: number): Promise<BareRate> {
  await using opened = await loadModel(model, { threads })
  let count = 0
  const next = () => Array.from({ length: batch }, () => textOf(count++))
  await opened.encodeTexts(next())
  return rateOf(seconds, async () => {
    await opened.encodeTexts(next())
    return batch
  })
}

export const batchSizes = [1, 2, 4, 8, 16] as const

/** By batch, in turns over the rounds, so that all see the same load of the machine. Pixels are in memory. */
export async function bareBatches(
  model: string,
  tower: "text" | "image",
  { threads, seconds, rounds }: { readonly threads: number; readonly seconds: number; readonly rounds: number },
): Promise<Map<number, BareRate[]>> {
  await using opened = await loadModel(model, { threads })
  const pixels = new Float32Array(Math.max(...batchSizes) * 3 * opened.preprocessing.size ** 2).fill(0.5)
  let count = 0
  const steps = {
    text: (batch: number) => opened.encodeTexts(Array.from({ length: batch }, () => textOf(count++))),
    image: (batch: number) => opened.encodePixels(pixels.slice(0, (pixels.length / 16) * batch), batch),
  }
  const step = async (batch: number) => {
    await steps[tower](batch)
    return batch
  }
  const found = new Map<number, BareRate[]>(batchSizes.map((batch) => [batch, []]))
  for (const batch of batchSizes) await step(batch)
  for (let round = 0; round < rounds; round++)
    for (const [batch, rates] of found) rates.push(await rateOf(seconds, () => step(batch)))
  return found
}

/** @param step computes some, and says how many */
async function rateOf(seconds: number, step: () => Promise<number>): Promise<BareRate> {
  const [before, began] = [process.cpuUsage(), performance.now()]
  let count = 0
  while (performance.now() - began < seconds * 1000) count += await step()
  const { user, system } = process.cpuUsage(before)
  return { rate: (1000 * count) / (performance.now() - began), processorSeconds: (user + system) / 1e6 / count }
}

interface PictureOrder {
  readonly place: TowerPlace
  readonly preprocessing: Preprocessing
  readonly paths: readonly string[]
  readonly seconds: number
  /** Whether each picture is decoded, from a file in memory. */
  readonly decodes: boolean
}

/** Threads have a tower each; pixels are in memory, or are decoded each time. */
export async function barePictures(
  model: string,
  threads: number,
  folder: string,
  { seconds, decodes }: Pick<PictureOrder, "seconds" | "decodes">,
): Promise<BareRate> {
  await using opened = await loadModel(model)
  if (!opened.place) throw new Error(`${model} has no tower that threads could open`)
  const paths = jpegFiles(folder)
  const order = { place: opened.place, preprocessing: opened.preprocessing, seconds, decodes }
  const workers = Array.from({ length: threads }, (_, t) => {
    const own: PictureOrder = { ...order, paths: paths.filter((_, i) => i % threads === t).slice(0, 16) }
    return new Worker(fileURLToPath(import.meta.url), { workerData: own })
  })
  await Promise.all(workers.map((worker) => once(worker, "message")))
  const ended = workers.map((worker) => once(worker, "message"))
  for (const worker of workers) worker.postMessage("begin")
  const rates = (await Promise.all(ended)).map(([rate]) => rate as BareRate)
  await Promise.all(workers.map((worker) => worker.terminate()))
  const rate = rates.reduce((sum, each) => sum + each.rate, 0)
  // A thread sees the processor time of all: what all took, by what all did.
  return { rate, processorSeconds: rates[0]!.processorSeconds * (rates[0]!.rate / rate) }
}

async function work({ place, preprocessing, paths, seconds, decodes }: PictureOrder): Promise<void> {
  const tower = openTower(place, { threads: 1 })
  const files = paths.map((path) => readFileSync(path))
  const pixelsOf = async (file: Uint8Array) => {
    const out = new Float32Array(3 * preprocessing.size ** 2)
    await preparePixels(file, [{ preprocessing, out }], { name: "a picture", exif: "apply" }, "here")
    return out
  }
  const pixels: Float32Array[] = []
  for (const file of files) pixels.push(await pixelsOf(file))
  for (const each of pixels.slice(0, 4)) await tower.images(each, 1)
  parentPort!.postMessage("ready")
  await once(parentPort!, "message")
  let next = 0
  const computed = await rateOf(seconds, async () => {
    const at = next++ % pixels.length
    await tower.images(decodes ? await pixelsOf(files[at]!) : pixels[at]!, 1)
    return 1
  })
  parentPort!.postMessage(computed)
}

if (!isMainThread) await work(workerData)
