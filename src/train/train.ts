/**
 * The training loop. One exported function; nothing runs at import.
 *
 * State is one object and is saved whole: weights, batch-norm statistics, optimiser moments, step. The data loader has
 * no state of its own: batch `step` is a function of the seed and the step. So a run that is stopped and resumed gives
 * the same losses, bit for bit, as one that was not (with the same libtorch, machine and thread count).
 */
import { setImmediate } from "node:timers/promises"
import * as torch from "../../torch/index.ts"
import type { CheckpointInfo } from "../model/checkpoint.ts"
import { Clip } from "../model/clip.ts"
import { initialize } from "../model/module.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { AdamW, type AdamWConfig } from "./optimizer.ts"
import { learningRateAt, type ScheduleConfig } from "./schedule.ts"
import { loadTrainingState, type TrainingState } from "./state.ts"
import { type Batch, type Measurements, trainStep } from "./step.ts"

export interface TrainConfig extends ScheduleConfig, AdamWConfig {
  readonly batchSize: number
  readonly gradClipNorm: number
  readonly seed: number
  readonly device: torch.Device
  readonly autocast?: "bfloat16"
  /** Intra-operation threads of libtorch; the default is libtorch's own. */
  readonly threads?: number
  /** Steps between two checkpoints; one is saved at the end in any case. */
  readonly saveEvery: number
}

/** open_clip's values, as the papers use them, where a run does not say otherwise. */
export const defaultTrainConfig = {
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0.2,
  gradClipNorm: 1,
  seed: 0,
  device: "cpu",
  saveEvery: 1000,
} as const

export interface StepReport extends Measurements {
  readonly step: number
  readonly samplesSeen: number
  readonly learningRate: number
}

/** What the loop needs from outside. */
export interface TrainIo {
  /** Batches from `firstStep` on, in order. */
  batches(firstStep: number): Iterable<Batch> | AsyncIterable<Batch>
  save(state: TrainingState): void | Promise<void>
  /** A state to go on from. */
  readonly resume?: TrainingState | undefined
  /** Called after every step. */
  onStep?(report: StepReport): void
  /** Ends the run behind the current step, with a checkpoint. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Trains `info.config` and returns the final state. Throws when the loss is not finite, naming the step; the last
 * saved checkpoint stays.
 */
export async function train(info: CheckpointInfo, config: TrainConfig, io: TrainIo): Promise<TrainingState> {
  // ------------------------------------------------------------------------------------ model, optimizer, resume
  if (config.threads !== undefined) torch.setThreads(config.threads)
  torch.manualSeed(config.seed)
  const model = new Clip(info.config)
  if (io.resume) loadTrainingState(model, io.resume)
  else initialize(model, config.seed)
  const interpreter = new TorchInterpreter(model, { training: true, device: config.device })
  const optimizer = new AdamW(interpreter.trainable(), config)
  if (io.resume) optimizer.restore(io.resume.step, io.resume.moments)
  const trainee = { model, interpreter, optimizer }

  // -------------------------------------------------------------------------------------------------------- loop
  try {
    let step = io.resume?.step ?? 0
    const snapshot = (): TrainingState => ({
      info: { ...info, samplesSeen: step * config.batchSize },
      step,
      seed: config.seed,
      tensors: interpreter.hostState(),
      moments: optimizer.hostMoments(),
    })
    const batches = asyncIterator(io.batches(step))
    while (step < config.steps && !io.signal?.aborted) {
      if (step > 0 && step % config.saveEvery === 0 && step !== io.resume?.step) await io.save(snapshot())
      const { value: batch, done } = await batches.next()
      if (done) throw new Error(`the data ended before step ${step} of ${config.steps}`)
      const learningRate = learningRateAt(step, config)
      const measurements = runStep(step, () => trainStep(trainee, batch, { ...config, learningRate }))
      step += 1
      io.onStep?.({ step, samplesSeen: step * config.batchSize, learningRate, ...measurements })
      // A step holds the event loop; this is where Ctrl-C gets through.
      await setImmediate()
    }
    await batches.return(undefined)
    const final = snapshot()
    await io.save(final)
    return final
  } finally {
    optimizer.free()
    interpreter.free()
  }
}

function runStep(step: number, run: () => Measurements): Measurements {
  try {
    return run()
  } catch (error) {
    throw new Error(`step ${step}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}

async function* asyncIterator<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  yield* items
}
