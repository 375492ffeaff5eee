/**
 * What loading costs a step: how long it waits for data, and the processor time of the loader's threads beside it, in steps
 * with a loader and in steps that repeat one of its batches, in turn.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { median } from "../../src/core/arrays/quantile.ts"
import { Tokenizer } from "../../src/core/text/tokenizer.ts"
import { datacompdrAugmentation } from "../../src/data/augment/config.ts"
import type { Batch } from "../../src/data/training/batch.ts"
import { openTrainingData } from "../../src/data/training/training-data.ts"
import { Clip } from "../../src/model/clip.ts"
import { initialize } from "../../src/model/module.ts"
import { defaultTrainConfig } from "../../src/train/train.ts"
import { writeShard } from "../loader/shards.ts"
import { objectiveOf, teacherWidths } from "../step/random-batch.ts"
import { TimedTrainer } from "../step/timed-trainer.ts"
import { type AnatomyOptions, type Loading, measured, modelOf } from "./anatomy.ts"

const warmUp = 3
const batchesOfShard = 6

/** Scenes as they are for small models; photographs of 500 x 400 pixels for others. */
export async function measureLoading(options: AnatomyOptions): Promise<Loading> {
  const folder = mkdtempSync(join(tmpdir(), "anatomy-bench-"))
  try {
    const path = join(folder, "0.tar")
    const { imageSize: size } = modelOf(options.model).config
    const enlarged = size > 64 ? ([500, 400] as const) : null
    const count = batchesOfShard * options.batch
    await writeShard(path, { count, enlarged, size, embeddingWidth: sum(teacherWidths) }, "npz")
    const aloneMs = await withData(path, options, (batches) => loadAlone(batches, options.steps))
    return { aloneMs, ...(await withData(path, options, (batches) => loadBeside(batches, options))) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

type Batches = AsyncGenerator<Batch, void>

async function withData<T>(
  source: string,
  { batch, model, reinforced }: AnatomyOptions,
  use: (batches: Batches) => Promise<T>,
): Promise<T> {
  const { imageSize: size, text } = modelOf(model).config
  const data = await openTrainingData({
    ...{ source, format: "reinforced", embeddings: reinforced, view: reinforced ? "stored" : "crop" },
    ...{ batchSize: batch, rank: 0, ranks: 1, seed: 1, workers: 1, prefetch: 3, maxBadSamples: 0 },
    ...{ preprocessing: { size, interpolation: "bicubic", ...datacompdrAugmentation.normalize } },
    ...{ tokenizer: new Tokenizer(), contextLength: text.contextLength },
  })
  try {
    return await use(data.batches(0))
  } finally {
    await data.close()
  }
}

/** The first epoch decodes, and compiles the code. */
async function loadAlone(batches: Batches, steps: number): Promise<number> {
  for (let i = 0; i < batchesOfShard + warmUp; i++) await batches.next()
  const before = process.cpuUsage()
  for (let i = 0; i < steps; i++) await batches.next()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / steps
}

async function loadBeside(batches: Batches, options: AnatomyOptions): Promise<Omit<Loading, "aloneMs">> {
  const { device, precision, reinforced, steps } = options
  const model = new Clip(modelOf(options.model).config)
  initialize(model, defaultTrainConfig.seed)
  const trainer = new TimedTrainer(model, { objective: objectiveOf(reinforced), device, precision })
  const next = async () => onlyItsOwn((await batches.next()).value as Batch, reinforced)
  try {
    const same = await next()
    for (let i = 0; i < batchesOfShard; i++) trainer.step(await next())
    const [beside, without]: [Turn[], Turn[]] = [[], []]
    for (let i = 0; i < warmUp + steps; i++) {
      beside.push(await turn(trainer, next))
      // What was made ahead is full by then: nothing is loaded beside the second.
      trainer.step(same)
      without.push(await turn(trainer, () => Promise.resolve(same)))
    }
    return summary(beside.slice(warmUp), without.slice(warmUp))
  } finally {
    trainer.free()
  }
}

/** A plain student reads one caption of a picture. */
function onlyItsOwn({ synthetic, ...batch }: Batch, reinforced: boolean): Batch {
  return reinforced && synthetic ? { ...batch, synthetic } : batch
}

interface Turn {
  readonly ms: number
  readonly waitMs: number
  readonly processorMs: number
}

async function turn(trainer: TimedTrainer, next: () => Promise<Batch>): Promise<Turn> {
  const start = performance.now()
  const batch = await next()
  const waitMs = performance.now() - start
  const { ms, processorMs } = measured(() => trainer.step(batch))
  return { ms: ms + waitMs, waitMs, processorMs }
}

function summary(beside: readonly Turn[], without: readonly Turn[]): Omit<Loading, "aloneMs"> {
  const of = (turns: readonly Turn[], part: keyof Turn) => median(turns.map((turn) => turn[part]))
  return {
    ...{ waitMs: of(beside, "waitMs"), stepMs: of(beside, "ms"), stepWithoutLoaderMs: of(without, "ms") },
    besideMs: of(beside, "processorMs") - of(without, "processorMs"),
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
