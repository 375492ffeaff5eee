/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The training loop. One exported function; nothing runs at import.
 *
 * The state is one object and is saved as a whole: weights, batch-norm statistics, optimiser moments, average, step. The data loader
 * has no state of its own: batch `step` is a function of the seed and the step. So a run that is stopped and resumed gives
 * the same losses, bit for bit, as one that was not stopped (with the same libtorch, machine and thread count).
 */
import { setImmediate } from "node:timers/promises"
import * as torch from "../../torch/index.ts"
import { messageOf, UserError } from "../core/errors.ts"
import type { ModelConfig } from "../core/family/variants.ts"
import type { Batch } from "../data/training/batch.ts"
import { buildModel, type CheckpointInfo, type CheckpointModel } from "../model/checkpoint/checkpoint.ts"
import { initialize } from "../model/module.ts"
import { hostValues, TorchInterpreter } from "../tensor/torch.ts"
import { BackgroundSave } from "./checkpoints/background-save.ts"
import { SharedCopies } from "./checkpoints/shared-copies.ts"
import { loadTensors, type Settings, type TrainingState } from "./checkpoints/state.ts"
import { isFirstRank, type ProcessGroup } from "./distributed/process-group.ts"
import { requireSameSettings } from "./distributed/same-settings.ts"
import { syncBatchNorm } from "./distributed/sync-batch-norm.ts"
import { AdamW, type AdamWConfig, decayOf } from "./optimizer/adamw.ts"
import { Ema } from "./optimizer/ema.ts"
import { layerDecay, learningRateAt, type ScheduleConfig } from "./optimizer/learning-rate.ts"
import { initialLossScale } from "./optimizer/loss-scaler.ts"
import { RangeAugment } from "./range-augment.ts"
import { type Measurements, meanOverRanks, type StepConfig, type Trainer, trainStep } from "./step.ts"

export interface TrainConfig extends ScheduleConfig, AdamWConfig, Omit<StepConfig, "learningRate"> {
  /** Pairs of a step, over all processes. */
  readonly batchSize: number
  /** Factor on the learning rate from each layer to the one below; absent: none. */
  readonly layerDecay?: number
  /** Share of the weights' average that stays at each step; absent: no average. */
  readonly ema?: number
  /** The share grows from 0.1 to `ema`: the average forgets the first weights. */
  readonly emaWarmup?: boolean
  /**
   * Similarity of the pictures to the unchanged ones, in decibels, at the first and the last step (RangeAugment); absent:
   * pictures are not changed.
   */
  readonly rangeAugment?: readonly [number, number]
  /** Towers that are not trained; their batch norm keeps its statistics. */
  readonly locked?: readonly ("image" | "text")[]
  /** Batch norm keeps its statistics in the trained towers too: in all, or in these. */
  readonly frozenStatistics?: boolean | readonly ("image" | "text")[]
  /** Batch norm over the batches of all processes. */
  readonly syncBatchNorm?: boolean
  readonly seed: number
  readonly device: torch.Device
  /** Intra-operation threads of libtorch; the default is libtorch's own. */
  readonly threads?: number
  /** Steps between two checkpoints; one is saved at the end in any case. */
  readonly saveEvery: number
  /** Steps between two evaluations; one is made at the end in any case. Absent: none. */
  readonly evaluateEvery?: number
  /** What identifies the data; it is saved, so that a run is not resumed on other data. */
  readonly data?: Settings
}

/** open_clip's values, as the papers use them, where a run does not say otherwise. */
export const defaultTrainConfig = {
  objective: { kind: "clip" },
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
  /** The part of `seconds` that was spent waiting for the batch. */
  readonly dataSeconds: number
  /** Samples of the run so far that could not be used, over all processes; absent: none. */
  readonly badSamples?: number
}

/** The model in the middle of a run: with its average's weights where it keeps one. */
export interface LiveModel {
  readonly model: CheckpointModel
  readonly interpreter: TorchInterpreter
  readonly step: number
  readonly samplesSeen: number
}

/** Samples that could not be used, over all processes. */
interface Tally {
  readonly count: number
  counts(): readonly number[]
  /** Throws UserError when they are too many: on all processes at the same step. */
  take(sums: readonly number[]): void
}

/** What the loop needs from outside. */
export interface TrainIo {
  /** Batches from `firstStep` on, in order. */
  batches(firstStep: number): Iterable<Batch> | AsyncIterable<Batch>
  /**
   * Saves, on the first process. Training goes on meanwhile, and waits only for the save before. The values are in shared
   * memory, which the next state takes over when this save is done.
   */
  save(state: TrainingState): void | Promise<void>
  /** Gives a state to go on from. It is called once, at the beginning; the loop does not keep the state, so that its memory can be freed. */
  readonly resume?: (() => TrainingState) | undefined
  /** Weights to start from in place of an initialisation, by path. */
  readonly start?: ReadonlyMap<string, Float32Array> | undefined
  /** Called after every step, on the first process. */
  onStep?(report: StepReport): void
  /**
   * "stop" ends the run after the current step, as finished. Where a state is saved at that step, it is saved before the
   * evaluation; where the evaluation throws, the state is saved all the same. A run that is resumed evaluates again at the
   * step it is resumed at, even if that is the last one.
   */
  evaluate?(live: LiveModel): Promise<"stop" | undefined>
  /** Its abort ends the run after the current step, with a checkpoint. */
  readonly signal?: AbortSignal | undefined
  /** What each process counts. It is added up over all processes at every step, and after the last one; `take` may end the run. */
  readonly tally?: Tally | undefined
  /** The processes that train together; each calls `train` with the same configuration and its part of every batch. */
  readonly group?: ProcessGroup | undefined
}

/**
 * Trains `info.config` and returns the final state. Throws when the loss is not finite, naming the step and the last
 * checkpoint, which stays.
 */
export async function train(
  info: CheckpointInfo<ModelConfig>,
  config: TrainConfig,
  io: TrainIo,
): Promise<TrainingState> {
  // ------------------------------------------------------------------------------------ model, optimizer, resume
  if (config.threads !== undefined) torch.setThreads(config.threads)
  torch.setCudaOptions({ tf32: true, benchmark: true })
  torch.manualSeed(config.seed)
  const { group } = io
  const isFirst = isFirstRank(group)
  if (group) requireSameSettings({ ...settingsOf(config), model: JSON.stringify(info.config) }, group)
  const { trainer, resumedAt } = startOrResume(info, config, io)
  const { model, interpreter, optimizer, ema, ranks } = trainer
  let step = resumedAt ?? 0
  if (group) requireSameSettings({ step }, group)
  const batches = asyncIterator(io.batches(step))
  const saving = new BackgroundSave(io.save, resumedAt)
  const copies = new SharedCopies()
  const snapshot = (): TrainingState => ({
    info: { ...info, samplesSeen: step * config.batchSize },
    step,
    updates: optimizer.updates,
    settings: settingsOf(config),
    tensors: interpreter.hostState(copies.of("weights")),
    moments: optimizer.hostMoments(copies.of("optimizer")),
    ...(ema && { ema: ema.hostState(copies.of("average")) }),
    ...(trainer.rangeAugment && { rangeAugment: trainer.rangeAugment.hostState() }),
    ...(trainer.lossScaler && { lossScaler: trainer.lossScaler }),
    generator: torch.generatorState(),
  })
  let taken: TrainingState | undefined
  /** The state of this step, copied once: the copy is being written while the weights stay as they are. */
  const current = () => {
    if (taken?.step !== step) taken = snapshot()
    return taken
  }
  // Before the first step there is nothing to go on from, and a checkpoint would bind the folder to these settings.
  const save = async () => {
    if (step > 0 && isFirst && !saving.has(step)) await saving.start(current)
  }
  /** For work between two steps: where it fails, the state is saved, so that the steps since the last checkpoint are not lost. */
  const savingOnError = async <T>(work: () => T | Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      // The failure of the work is the one to report.
      await save().catch(() => {})
      throw error
    }
  }
  const evaluate = () => {
    const run = async () => io.evaluate?.({ model, interpreter, step, samplesSeen: step * config.batchSize })
    return savingOnError(() => (ema ? ema.swapped(run) : run()))
  }
  const isEnough = async () => {
    const own = isFirst && (await evaluate()) === "stop"
    return group ? group.any(own) : own
  }
  // -------------------------------------------------------------------------------------------------------- loop
  try {
    while (!(await savingOnError(() => isStopped(io))) && step < config.steps) {
      if (isDue(step, config.saveEvery)) await save()
      if (isDue(step, config.evaluateEvery) && (await isEnough())) break
      saving.throwIfFailed()
      const started = performance.now()
      const { value: batch, done } = await savingOnError(() => batches.next())
      if (done) throw new UserError(`the data ended before step ${step} of ${config.steps}`)
      const dataSeconds = (performance.now() - started) / 1000
      const learningRate = learningRateAt(step, config)
      trainer.rangeAugment?.begin(step, group?.rank)
      const measurements = runStep(step, saving, () => {
        const own = trainStep(trainer, batch, { ...config, learningRate })
        return ranks ? meanOverRanks(own, ranks) : own
      })
      step += 1
      const seconds = (performance.now() - started) / 1000
      const bad = io.tally && io.tally.count > 0 && { badSamples: io.tally.count }
      const times = { step, samplesSeen: step * config.batchSize, learningRate, seconds, dataSeconds }
      if (isFirst) io.onStep?.({ ...times, ...bad, ...measurements })
      // A step blocks the event loop; here signals such as Ctrl-C are handled. Events are polled before the second of the two.
      await setImmediate()
      await setImmediate()
    }
    // The evaluation takes long and may fail, so the final state is on the disk before it.
    await save()
    await saving.finished()
    const final = current()
    if (isFirst && step === config.steps && config.evaluateEvery) await evaluate()
    return final
  } finally {
    await saving.settled()
    await batches.return(undefined)
    ranks?.reducer.free()
    optimizer.free()
    ema?.free()
    interpreter.free()
    torch.releaseMemory()
  }
}

/** What both parts of a resumed run must agree on: everything but where it computes and how often it saves and evaluates. */
export function settingsOf(config: TrainConfig): Settings {
  const { device: _, threads: __, saveEvery: ___, evaluateEvery: ____, data, ...rest } = config
  const entries = Object.entries({ ...rest, ...data }).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    entries.map(([name, value]) => [name, typeof value === "number" ? value : stringOf(value)] as const),
  )
}

/** Only this function holds the state that is resumed, so that it does not stay in memory for the whole run. */
function startOrResume(info: CheckpointInfo<ModelConfig>, config: TrainConfig, io: TrainIo) {
  const resume = io.resume?.()
  const model = startModel(info.config, config, io, resume)
  const rangeAugment = rangeAugmentOf(info, config, resume)
  const trainer: Trainer = { ...trainerOf(model, config, io, resume), ...(rangeAugment && { rangeAugment }) }
  return { trainer, resumedAt: resume?.step }
}

function rangeAugmentOf(
  { preprocessing: normalization }: CheckpointInfo<ModelConfig>,
  config: TrainConfig,
  resume: TrainingState | undefined,
): RangeAugment | undefined {
  const { rangeAugment: psnr, steps, seed } = config
  return psnr && new RangeAugment({ psnr, steps, seed, normalization, adam: config }, resume?.rangeAugment)
}

function startModel(
  modelConfig: ModelConfig,
  { seed }: TrainConfig,
  { start }: TrainIo,
  resume: TrainingState | undefined,
): CheckpointModel {
  const model = buildModel(modelConfig)
  if (resume) loadTensors(model, resume.tensors)
  else if (start) loadTensors(model, start)
  else initialize(model, seed)
  return model
}

function trainerOf(
  model: CheckpointModel,
  config: TrainConfig,
  { group }: TrainIo,
  resume: TrainingState | undefined,
): Trainer {
  const { locked = [], frozenStatistics = false } = config
  const interpreter = new TorchInterpreter(model, {
    training: true,
    device: group?.device ?? config.device,
    frozen: (path) => isInTowers(locked, path),
    frozenStatistics: (path) => frozenStatistics === true || isInTowers(frozenStatistics || [], path),
    channelsLast: true,
    ...(group && config.syncBatchNorm && { batchNorm: (x, norm) => syncBatchNorm(x, norm, group) }),
  })
  readParametersFrom(interpreter, model)
  group?.broadcast(interpreter.state().values())
  const trainable = interpreter.trainable()
  const rateScale = layerDecay(trainable.keys(), config.layerDecay ?? 1)
  const optimizer = new AdamW(trainable, config, { rateScale, isDecayed: decayOf(model) })
  const ema =
    config.ema === undefined ? undefined : new Ema(interpreter, { decay: config.ema, warmup: config.emaWarmup })
  if (resume) {
    optimizer.restore(resume.updates, resume.moments)
    ema?.restore(resume.ema ?? new Map())
    if (resume.generator.length > 0) torch.setGeneratorState(resume.generator)
  }
  const lossScaler = config.precision === "float16" ? (resume?.lossScaler ?? initialLossScale) : undefined
  const ranks = group && { group, reducer: group.overlapGradients([...trainable.values()]) }
  return { model, interpreter, optimizer, ema, lossScaler, ranks }
}

function isInTowers(towers: readonly string[], path: string): boolean {
  return towers.some((tower) => path.startsWith(`${tower}.`))
}

/** Parameters are read from the run from now on, so that the values it began with can be freed. */
function readParametersFrom(interpreter: TorchInterpreter, model: CheckpointModel): void {
  for (const parameter of model.namedParameters().values())
    parameter.source = () => hostValues(interpreter.value(parameter))
}

/** A signal on one process stops all of them after the same step. The counts are summed in the same message. */
function isStopped({ signal, group, tally }: Pick<TrainIo, "signal" | "group" | "tally">): boolean {
  const own = signal?.aborted ?? false
  if (!group) return own
  const [stopped, ...sums] = group.sum([own ? 1 : 0, ...(tally?.counts() ?? [])])
  tally?.take(sums)
  return stopped! > 0
}

function isDue(step: number, every: number | undefined): boolean {
  return step > 0 && every !== undefined && step % every === 0
}

function runStep(step: number, { last }: BackgroundSave, run: () => Measurements): Measurements {
  try {
    return run()
  } catch (error) {
    const message = `step ${step}: ${messageOf(error)}`
    if (!(error instanceof UserError)) throw new Error(message, { cause: error })
    throw new UserError(`${message}; ${last}`, error.hint, { cause: error })
  }
}

function stringOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value)
}

async function* asyncIterator<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  yield* items
}
