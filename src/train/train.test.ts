import { describe, expect, test } from "vitest"
import { tinyInfo, toyConfig } from "../../test/tiny-model.ts"
import { Random } from "../core/random.ts"
import { bytesAsSource, SafetensorsFile } from "../core/safetensors.ts"
import type { Batch } from "../data/training/batch.ts"
import type { CheckpointInfo } from "../model/checkpoint.ts"
import { readTrainingState, type TrainingState, trainingStateChunks } from "./state.ts"
import { defaultTrainConfig, type StepReport, type TrainConfig, type TrainIo, train } from "./train.ts"

const info: CheckpointInfo = {
  ...tinyInfo,
  config: toyConfig,
  preprocessing: { ...tinyInfo.preprocessing, size: 32 },
}

const shortRun: TrainConfig = {
  ...defaultTrainConfig,
  steps: 8,
  warmupSteps: 2,
  batchSize: 16,
  threads: 2,
  saveEvery: 4,
}

describe("train", () => {
  test("one seed gives bitwise equal losses and weights", async () => {
    const [first, second] = [await run(shortRun), await run(shortRun)]
    expect(second.losses).toEqual(first.losses)
    expect(second.final.tensors).toEqual(first.final.tensors)
    const other = await run({ ...shortRun, seed: 1 })
    expect(other.losses).not.toEqual(first.losses)
  })

  test("overfits one batch of 16 to a loss below 0.05", async () => {
    const { losses } = await run(
      { ...shortRun, steps: 120, warmupSteps: 10, learningRate: 3e-3 },
      { batch: () => randomBatch(0) },
    )
    expect(losses[0]).toBeGreaterThan(2)
    expect(losses.at(-1)).toBeLessThan(0.05)
  })

  test("a resumed run goes on as if it had not been stopped, through a file", async () => {
    const whole = await run(shortRun)
    const stopped = await run(shortRun, { stopAfter: 4 })
    expect(stopped.final.step).toBe(4)
    const rest = await run(shortRun, { resume: throughFile(stopped.final) })
    expect([...stopped.losses, ...rest.losses]).toEqual(whole.losses)
    expect(rest.final.settings).toEqual(whole.final.settings)
    expect(rest.final.tensors).toEqual(whole.final.tensors)
  })

  test("saves at the interval and at the end, with batch-norm statistics", async () => {
    const { saved, final } = await run(shortRun)
    expect(saved.map(({ step }) => step)).toEqual([4, 8])
    expect(final.info.samplesSeen).toBe(8 * 16)
    expect(final.tensors.get("image.stem.0.convKxk.0.bn.numBatchesTracked")).toEqual(Float32Array.of(8))
    expect(final.tensors.get("image.stem.0.convKxk.0.bn.runningMean")!.some((x) => x !== 0)).toBe(true)
  })

  test("an evaluation may end the run, which is saved then; a run that is resumed there is asked again", async () => {
    const asked: number[] = []
    const evaluate: TrainIo["evaluate"] = async ({ step }) => {
      asked.push(step)
      return step === 4 ? "stop" : undefined
    }
    const config = { ...shortRun, evaluateEvery: 2, saveEvery: 100 }
    const { final, saved, losses } = await run(config, { evaluate })
    expect(final.step).toBe(4)
    expect(saved.map(({ step }) => step)).toEqual([4])
    expect(losses).toHaveLength(4)
    const again = await run(config, { evaluate, resume: final })
    expect(again.losses).toEqual([])
    expect(asked).toEqual([2, 4, 4])
  })

  test("batch norm keeps its statistics in the towers that are named, whose weights learn all the same", async () => {
    const text = { ...info.config.text, kind: "mct" } as const
    const { final } = await run(
      { ...shortRun, steps: 1, warmupSteps: 0, frozenStatistics: ["image"] },
      { info: { ...info, config: { ...info.config, text } } },
    )
    const means = [...final.tensors].filter(([path]) => path.endsWith(".runningMean"))
    const [image, other] = [true, false].map((isImage) =>
      means.filter(([path]) => path.startsWith("image.") === isImage),
    )
    expect([image!.length > 3, other!.length > 3]).toEqual([true, true])
    for (const [path, values] of image!)
      expect(
        values.every((value) => value === 0),
        path,
      ).toBe(true)
    for (const [path, values] of other!)
      expect(
        values.every((value) => value === 0),
        path,
      ).toBe(false)
    expect(final.moments.get("image.stem.0.convKxk.0.bn.weight")!.second.some((value) => value > 0)).toBe(true)
  })

  test("a loss that is not finite names the step", async () => {
    const broken = { ...randomBatch(0), images: new Float32Array(16 * 3 * 32 * 32).fill(Number.NaN) }
    await expect(run(shortRun, { batch: (step) => (step === 2 ? broken : randomBatch(step)) })).rejects.toThrow(
      "step 2: the loss is NaN",
    )
  })

  test("data that ends too soon is an error", async () => {
    const io: TrainIo = { batches: () => [randomBatch(0)], save: () => {} }
    await expect(train(info, shortRun, io)).rejects.toThrow("the data ended before step 1 of 8")
  })
})

interface RunOptions {
  info?: CheckpointInfo
  batch?: (step: number) => Batch
  resume?: TrainingState
  stopAfter?: number
  evaluate?: TrainIo["evaluate"]
}

async function run(trainConfig: TrainConfig, options: RunOptions = {}) {
  const { batch = randomBatch, resume, stopAfter, evaluate } = options
  const reports: StepReport[] = []
  const saved: TrainingState[] = []
  const stop = new AbortController()
  const final = await train(options.info ?? info, trainConfig, {
    *batches(firstStep) {
      for (let step = firstStep; ; step++) yield batch(step)
    },
    save: (state) => void saved.push(state),
    ...(evaluate && { evaluate }),
    resume,
    signal: stop.signal,
    onStep(report) {
      reports.push(report)
      if (report.step === stopAfter) stop.abort()
    },
  })
  return { final, saved, losses: reports.map(({ loss }) => loss) }
}

function throughFile(state: TrainingState): TrainingState {
  const bytes = Buffer.concat([...trainingStateChunks(state)].map((chunk) => Uint8Array.from(chunk)))
  return readTrainingState(new SafetensorsFile(bytesAsSource("state.safetensors", bytes)), "state.safetensors")
}

/** 16 pairs; the end-of-text id is the largest. */
function randomBatch(seed: number): Batch {
  const random = Random.of(seed, "batch")
  const images = Float32Array.from({ length: 16 * 3 * 32 * 32 }, () => random.uniform())
  const { contextLength } = toyConfig.text
  const tokens = new BigInt64Array(16 * contextLength)
  for (let n = 0; n < 16; n++) {
    const length = 3 + random.int(5)
    for (let i = 0; i < length; i++) tokens[n * contextLength + i] = BigInt(1 + random.int(61))
    tokens[n * contextLength + length] = 63n
  }
  return { images, tokens }
}
