/**
 * The training loop. One exported function; nothing runs at import.
 *
 * State is one object and is saved whole: weights, batch-norm statistics, optimiser moments, step. The data loader has
 * no state of its own: batch `step` is a function of the seed and the step. So a run that is stopped and resumed gives
 * the same losses, bit for bit, as one that was not (with the same libtorch, machine and thread count).
 */
import { setImmediate } from "node:timers/promises"
import * as torch from "../../torch/index.ts"
import { messageOf, UserError } from "../core/errors.ts"
import type { CheckpointInfo } from "../model/checkpoint.ts"
import { Clip } from "../model/clip.ts"
import { initialize } from "../model/module.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { AdamW, type AdamWConfig } from "./optimizer.ts"
import { learningRateAt, type ScheduleConfig } from "./schedule.ts"
import { loadTrainingState, type Settings, type TrainingState } from "./state.ts"
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
  /** What identifies the data: saved, so that a run is not resumed on other data. */
  readonly data?: Settings
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
  /** Wall time of the step, its batch included. */
  readonly seconds: number
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
  const trainee = { model, interpreter, optimizer }
  let step = io.resume?.step ?? 0
  const batches = asyncIterator(io.batches(step))
  const snapshot = (): TrainingState => ({
    info: { ...info, samplesSeen: step * config.batchSize },
    step,
    settings: settingsOf(config),
    tensors: interpreter.hostState(),
    moments: optimizer.hostMoments(),
  })

  // -------------------------------------------------------------------------------------------------------- loop
  try {
    if (io.resume) optimizer.restore(io.resume.step, io.resume.moments)
    while (step < config.steps && !io.signal?.aborted) {
      if (step > 0 && step % config.saveEvery === 0 && step !== io.resume?.step) await io.save(snapshot())
      const started = performance.now()
      const { value: batch, done } = await batches.next()
      if (done) throw new UserError(`the data ended before step ${step} of ${config.steps}`)
      const learningRate = learningRateAt(step, config)
      const measurements = runStep(step, () => trainStep(trainee, batch, { ...config, learningRate }))
      step += 1
      const seconds = (performance.now() - started) / 1000
      io.onStep?.({ step, samplesSeen: step * config.batchSize, learningRate, seconds, ...measurements })
      // A step holds the event loop; this is where Ctrl-C gets through.
      await setImmediate()
    }
    const final = snapshot()
    if (step !== io.resume?.step) await io.save(final)
    return final
  } finally {
    await batches.return(undefined)
    optimizer.free()
    interpreter.free()
  }
}

/** What two halves of one run must agree on: everything but where and how often it computes and saves. */
export function settingsOf({ device: _, threads: __, saveEvery: ___, data, ...config }: TrainConfig): Settings {
  return { ...config, ...data }
}

function runStep(step: number, run: () => Measurements): Measurements {
  try {
    return run()
  } catch (error) {
    const message = `step ${step}: ${messageOf(error)}`
    if (error instanceof UserError) throw new UserError(message, error.hint, { cause: error })
    throw new Error(message, { cause: error })
  }
}

async function* asyncIterator<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  yield* items
}
