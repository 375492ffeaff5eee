/**
 * What reinforcement costs per step: reinforced and contrastive steps on the same captions, in turn in one process, each with
 * a loader of its own.
 */
import * as torch from "../../../torch/index.ts"
import type { ModelConfig } from "../../core/family/variants.ts"
import { median } from "../../core/median.ts"
import type { Batch } from "../../data/training/batch.ts"
import { openTrainingData, type TrainingData } from "../../data/training/training-data.ts"
import { buildModel, type CheckpointInfo } from "../../model/checkpoint/checkpoint.ts"
import { initialize } from "../../model/module.ts"
import { TorchInterpreter } from "../../tensor/torch.ts"
import type { ObjectiveConfig } from "../../train/objective.ts"
import { AdamW } from "../../train/optimizer/adamw.ts"
import { type Trainer, trainStep } from "../../train/step.ts"
import type { TrainConfig } from "../../train/train.ts"
import { loaderConfig } from "./train-model.ts"

interface StepTimeOptions {
  readonly info: CheckpointInfo<ModelConfig>
  readonly config: TrainConfig
  /** Reinforced shards; the contrastive steps take their captions, real and synthetic, and random crops of the pictures. */
  readonly shards: string
  readonly objective: ObjectiveConfig
  /** Timed steps of each kind, after a few that are not timed. */
  readonly steps: number
}

export interface StepTimes {
  /** Median of the ratios of neighbouring steps, reinforced over plain, including their data. */
  readonly ratio: number
  /** Median seconds. */
  readonly plain: number
  readonly reinforced: number
  /** Share of the reinforced steps' time spent waiting for batches. */
  readonly dataWait: number
}

const warmUp = 3

export async function measureStepTime(options: StepTimeOptions): Promise<StepTimes> {
  const { info, config } = options
  const common = loaderConfig({ info, config })
  const pairs = { source: options.shards, format: "reinforced" } as const
  await using plain = closing(await openTrainingData({ ...common, ...pairs, embeddings: false, view: "crop" }))
  await using reinforced = closing(await openTrainingData({ ...common, ...pairs, view: "stored" }))
  const trainer = trainerOf(info, config)
  try {
    const [plainBatches, reinforcedBatches] = [plain.data.batches(0), reinforced.data.batches(0)]
    const steps: { readonly plain: Timed; readonly reinforced: Timed }[] = []
    for (let i = 0; i < warmUp + options.steps; i++) {
      steps.push({
        plain: await timedStep(trainer, plainBatches, { ...config, objective: { kind: "clip" } }),
        reinforced: await timedStep(trainer, reinforcedBatches, { ...config, objective: options.objective }),
      })
    }
    return summary(steps.slice(warmUp))
  } finally {
    trainer.optimizer.free()
    trainer.interpreter.free()
  }
}

/** Data that is closed at the end of its scope, even where opening other data fails. */
function closing(data: TrainingData): AsyncDisposable & { readonly data: TrainingData } {
  return { data, [Symbol.asyncDispose]: () => data.close() }
}

interface Timed {
  readonly seconds: number
  readonly dataSeconds: number
}

async function timedStep(trainer: Trainer, batches: AsyncGenerator<Batch, void>, config: TrainConfig): Promise<Timed> {
  const started = performance.now()
  const { value } = await batches.next()
  const dataSeconds = (performance.now() - started) / 1000
  trainStep(trainer, value as Batch, config)
  return { seconds: (performance.now() - started) / 1000, dataSeconds }
}

function trainerOf(info: CheckpointInfo<ModelConfig>, config: TrainConfig): Trainer {
  if (config.threads !== undefined) torch.setThreads(config.threads)
  const model = buildModel(info.config)
  initialize(model, config.seed)
  const interpreter = new TorchInterpreter(model, { training: true, device: config.device })
  return { model, interpreter, optimizer: new AdamW(interpreter.trainable(), config) }
}

function summary(pairs: readonly { readonly plain: Timed; readonly reinforced: Timed }[]): StepTimes {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  const reinforced = pairs.map((pair) => pair.reinforced)
  return {
    ratio: median(pairs.map((pair) => pair.reinforced.seconds / pair.plain.seconds)),
    plain: median(pairs.map(({ plain }) => plain.seconds)),
    reinforced: median(reinforced.map(({ seconds }) => seconds)),
    dataWait: sum(reinforced.map(({ dataSeconds }) => dataSeconds)) / sum(reinforced.map(({ seconds }) => seconds)),
  }
}
