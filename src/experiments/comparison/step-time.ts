/**
 * What reinforcement costs per step, in turn in one process, each with a loader of its own: a plain student's step, which reads a
 * picture's own caption; a contrastive step that reads the synthetic one as well; and a reinforced step, which reads both too.
 * The first is what a student without reinforcement takes, the second shows what the stored embeddings alone cost.
 */
import * as torch from "../../../torch/index.ts"
import { median } from "../../core/arrays/quantile.ts"
import type { ModelConfig } from "../../core/family/variants.ts"
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
  /** Reinforced shards; contrastive steps take their captions and random crops of the pictures. */
  readonly shards: string
  readonly objective: ObjectiveConfig
  /** Timed steps of each kind, after a few that are not timed. */
  readonly steps: number
}

export interface StepTimes {
  /** Medians of the ratios of neighbouring steps, including their data: a reinforced step over a plain student's, */
  readonly overPlain: number
  /** and over a contrastive one that reads both captions. */
  readonly overBothCaptions: number
  /** Median seconds. */
  readonly plain: number
  readonly bothCaptions: number
  readonly reinforced: number
  /** Share of the reinforced steps' time spent waiting for batches. */
  readonly dataWait: number
}

const warmUp = 3

const kinds = ["plain", "bothCaptions", "reinforced"] as const
type Turn = Readonly<Record<(typeof kinds)[number], Timed>>

export async function measureStepTime(options: StepTimeOptions): Promise<StepTimes> {
  const { info, config } = options
  const common = loaderConfig({ info, config })
  const pairs = { source: options.shards, format: "reinforced" } as const
  const captions = { ...common, ...pairs, embeddings: false, view: "crop" } as const
  await using plain = closing(await openTrainingData(captions))
  await using bothCaptions = closing(await openTrainingData(captions))
  await using reinforced = closing(await openTrainingData({ ...common, ...pairs, view: "stored" }))
  const trainer = trainerOf(info, config)
  const contrastive = { ...config, objective: { kind: "clip" } } as const
  try {
    const batches = [plain, bothCaptions, reinforced].map(({ data }) => data.batches(0))
    const turns: Turn[] = []
    for (let i = 0; i < warmUp + options.steps; i++) {
      turns.push({
        plain: await timedStep(trainer, batches[0]!, contrastive, withoutSynthetic),
        bothCaptions: await timedStep(trainer, batches[1]!, contrastive),
        reinforced: await timedStep(trainer, batches[2]!, { ...config, objective: options.objective }),
      })
    }
    return summary(turns.slice(warmUp))
  } finally {
    trainer.optimizer.free()
    trainer.interpreter.free()
  }
}

function withoutSynthetic({ synthetic: _, ...batch }: Batch): Batch {
  return batch
}

/** Data that is closed at the end of its scope, even where opening other data fails. */
function closing(data: TrainingData): AsyncDisposable & { readonly data: TrainingData } {
  return { data, [Symbol.asyncDispose]: () => data.close() }
}

interface Timed {
  readonly seconds: number
  readonly dataSeconds: number
}

async function timedStep(
  trainer: Trainer,
  batches: AsyncGenerator<Batch, void>,
  config: TrainConfig,
  partOf = (batch: Batch) => batch,
): Promise<Timed> {
  const started = performance.now()
  const { value } = await batches.next()
  const dataSeconds = (performance.now() - started) / 1000
  trainStep(trainer, partOf(value as Batch), config)
  return { seconds: (performance.now() - started) / 1000, dataSeconds }
}

function trainerOf(info: CheckpointInfo<ModelConfig>, config: TrainConfig): Trainer {
  if (config.threads !== undefined) torch.setThreads(config.threads)
  const model = buildModel(info.config)
  initialize(model, config.seed)
  const interpreter = new TorchInterpreter(model, { training: true, device: config.device })
  return { model, interpreter, optimizer: new AdamW(interpreter.trainable(), config) }
}

function summary(turns: readonly Turn[]): StepTimes {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  const over = (kind: "plain" | "bothCaptions") =>
    median(turns.map((turn) => turn.reinforced.seconds / turn[kind].seconds))
  const [plain, bothCaptions, reinforced] = kinds.map((kind) => median(turns.map((turn) => turn[kind].seconds)))
  const steps = turns.map((turn) => turn.reinforced)
  return {
    ...{ overPlain: over("plain"), overBothCaptions: over("bothCaptions") },
    ...{ plain: plain!, bothCaptions: bothCaptions!, reinforced: reinforced! },
    dataWait: sum(steps.map(({ dataSeconds }) => dataSeconds)) / sum(steps.map(({ seconds }) => seconds)),
  }
}
