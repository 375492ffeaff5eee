import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { setTimeout as sleep } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, expect, test } from "vitest"
import { tinyInfo, toyConfig } from "../../test/tiny-model.ts"
import { Random } from "../core/arrays/random.ts"
import { bytesAsSource, SafetensorsFile } from "../core/containers/safetensors.ts"
import { UserError } from "../core/errors.ts"
import type { Batch } from "../data/training/batch.ts"
import type { CheckpointInfo } from "../model/checkpoint/checkpoint.ts"
import { readTrainingState, type TrainingState, trainingStateChunks } from "./checkpoints/state.ts"
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

  test("so does one whose average has a warm-up, which counts updates", async () => {
    const config = { ...shortRun, ema: 0.9, emaWarmup: true }
    const whole = await run(config)
    const stopped = await run(config, { stopAfter: 3 })
    const rest = await run(config, { resume: throughFile(stopped.final) })
    expect(rest.final.ema).toEqual(whole.final.ema)
    expect(whole.final.ema).not.toEqual((await run({ ...shortRun, ema: 0.9 })).final.ema)
    expect(whole.final.settings).toMatchObject({ ema: 0.9, emaWarmup: "true" })
  })

  test("saves at the interval and at the end, with batch-norm statistics", async () => {
    const { saved, final } = await run(shortRun)
    expect(saved.map(({ step }) => step)).toEqual([4, 8])
    expect(final.info.samplesSeen).toBe(8 * 16)
    expect(final.tensors.get("image.stem.0.convKxk.0.bn.numBatchesTracked")).toEqual(Float32Array.of(8))
    expect(final.tensors.get("image.stem.0.convKxk.0.bn.runningMean")!.some((x) => x !== 0)).toBe(true)
  })

  test("a signal that comes during a step ends the run after that step, also where its batch was waited for", async () => {
    const stop = new AbortController()
    process.once("SIGUSR2", () => stop.abort())
    async function* batches(first: number) {
      for (let step = first; ; step++) {
        await readFile(import.meta.filename)
        if (step === 2) process.kill(process.pid, "SIGUSR2")
        yield randomBatch(step)
      }
    }
    const final = await train(info, shortRun, { batches, save() {}, signal: stop.signal })
    expect(final.step).toBe(3)
  })

  test("a state keeps its values while it is written, and the next one has its memory", async () => {
    const config = { ...shortRun, steps: 5, saveEvery: 1, ema: 0.5 }
    const states: TrainingState[] = []
    const [before, after]: [string[], string[]] = [[], []]
    const final = await train(info, config, {
      batches: randomBatches,
      async save(state) {
        states.push(state)
        before.push(digestOf(state))
        // The next step, and the next save's turn, come meanwhile.
        await sleep(50)
        after.push(digestOf(state))
      },
    })
    expect(states.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5])
    expect(after).toEqual(before)
    expect(new Set(before).size).toBe(5)
    const buffers = valuesOf(states[0]!).map(({ buffer }) => buffer)
    expect(buffers.every((buffer) => buffer instanceof SharedArrayBuffer)).toBe(true)
    for (const state of states) expect(valuesOf(state).every(({ buffer }, i) => buffer === buffers[i])).toBe(true)
    expect(final).toBe(states.at(-1))
  })

  test("an evaluation may end the run, which is then saved; a run that is resumed there evaluates again", async () => {
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

  test("batch norm keeps its statistics in the towers that are named, while their weights learn", async () => {
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

  test("the last state is saved before it is evaluated; a run that is resumed there is evaluated", async () => {
    const order: string[] = []
    const config = { ...shortRun, evaluateEvery: 4 }
    const io: TrainIo = {
      batches: randomBatches,
      save: ({ step }) => void order.push(`saved ${step}`),
      evaluate: async ({ step }) => void order.push(`evaluated ${step}`) as undefined,
    }
    const final = await train(info, config, io)
    expect(order).toEqual(["saved 4", "evaluated 4", "saved 8", "evaluated 8"])
    await train(info, config, { ...io, resume: () => final })
    expect(order.slice(4)).toEqual(["evaluated 8"])
  })

  test.each([6, 8])("an evaluation that fails at step %i loses no step", async (failing) => {
    const saved: number[] = []
    const evaluate: TrainIo["evaluate"] = async ({ step }) => {
      if (step === failing) throw new Error("no picture can be read")
      return undefined
    }
    const io: TrainIo = { batches: randomBatches, save: ({ step }) => void saved.push(step), evaluate }
    await expect(train(info, { ...shortRun, evaluateEvery: 2, ema: 0.5 }, io)).rejects.toThrow("no picture")
    expect(saved).toEqual([4, failing])
  })

  test("a run that is stopped before its last step is not evaluated", async () => {
    const asked: number[] = []
    const evaluate: TrainIo["evaluate"] = async ({ step }) => void asked.push(step) as undefined
    const { saved } = await run({ ...shortRun, evaluateEvery: 5 }, { evaluate, stopAfter: 3 })
    expect(asked).toEqual([])
    expect(saved.map(({ step }) => step)).toEqual([3])
  })

  test("a save that fails ends the run at the next step", async () => {
    const steps: number[] = []
    const io: TrainIo = {
      batches: randomBatches,
      async save({ step }) {
        if (step === 4) throw new UserError("disk full")
      },
      onStep: ({ step }) => void steps.push(step),
    }
    await expect(train(info, { ...shortRun, saveEvery: 2 }, io)).rejects.toThrow(
      new UserError("the state at step 4 was not saved: disk full; the last checkpoint is of step 2"),
    )
    expect(steps.length).toBeLessThanOrEqual(5)
  })

  test("a state that is resumed is not kept", async () => {
    const held = [(await run(shortRun, { stopAfter: 2 })).final]
    const moments = new WeakRef([...held[0]!.moments.values()][0]!.first)
    const tensor = new WeakRef([...held[0]!.tensors.values()][0]!)
    const collect = collector()
    const kept: boolean[] = []
    await train(
      info,
      { ...shortRun, evaluateEvery: 4 },
      {
        batches: randomBatches,
        save() {},
        resume: () => held.pop()!,
        async evaluate() {
          collect()
          kept.push(moments.deref() !== undefined || tensor.deref() !== undefined)
          return undefined
        },
      },
    )
    expect(kept).toEqual([false, false])
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

function valuesOf({ tensors, moments, ema }: TrainingState): Float32Array[] {
  return [
    ...tensors.values(),
    ...[...moments.values()].flatMap(({ first, second }) => [first, second]),
    ...ema!.values(),
  ]
}

function digestOf(state: TrainingState): string {
  const hash = createHash("sha256")
  for (const values of valuesOf(state)) hash.update(new Uint8Array(values.buffer))
  return hash.digest("hex")
}

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
    batches: (firstStep) => randomBatches(firstStep, batch),
    save: (state) => void saved.push(state),
    ...(evaluate && { evaluate }),
    resume: resume && (() => resume),
    signal: stop.signal,
    onStep(report) {
      reports.push(report)
      if (report.step === stopAfter) stop.abort()
    },
  })
  return { final, saved, losses: reports.map(({ loss }) => loss) }
}

function* randomBatches(firstStep: number, batch = randomBatch): Generator<Batch> {
  for (let step = firstStep; ; step++) yield batch(step)
}

/** Returns when the garbage collector has freed what is no longer used. */
function collector(): () => void {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc")
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
