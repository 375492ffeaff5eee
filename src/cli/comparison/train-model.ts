/** Trains one of several models of a comparison on data of its own; a run that was there goes on, or is kept. */
import { Tokenizer } from "../../core/tokenizer.ts"
import type { ModelConfig } from "../../core/variants.ts"
import type { TrainingDataConfig } from "../../data/training/config.ts"
import { openTrainingData } from "../../data/training/training-data.ts"
import type { CheckpointInfo } from "../../model/checkpoint.ts"
import type { LiveModel, TrainConfig } from "../../train/train.ts"
import type { StartProgress } from "../progress.ts"
import { runTraining, type Scores, type TrainingResult } from "../training.ts"

/** Where the pairs come from and how they are read. */
export type PairSource = Pick<TrainingDataConfig, "source" | "view"> &
  Partial<
    Pick<TrainingDataConfig, "captionKey" | "cropScale" | "format" | "reinforced" | "templates" | "syntheticPattern">
  >

export interface ModelTraining {
  readonly directory: string
  /** Of the progress line. */
  readonly name: string
  readonly info: CheckpointInfo<ModelConfig>
  readonly config: TrainConfig
  readonly pairs: PairSource
  readonly evaluate?: (live: LiveModel) => Promise<Scores>
}

export interface TrainingContext {
  readonly startProgress: StartProgress
  readonly signal: AbortSignal
}

export async function trainModel(training: ModelTraining, context: TrainingContext): Promise<TrainingResult> {
  const { directory, name, info, pairs, evaluate } = training
  const data = await openTrainingData({ ...loaderConfig(training), ...pairs })
  try {
    return await runTraining({
      ...context,
      ...{ directory, name, info },
      config: { ...training.config, data: settingsOf(pairs) },
      batches: (firstStep) => data.batches(firstStep),
      ...(evaluate && { evaluate }),
      existing: "continue",
    })
  } finally {
    await data.close()
  }
}

/** What does not depend on where the pairs come from. */
export function loaderConfig({ info, config }: Pick<ModelTraining, "info" | "config">) {
  return {
    batchSize: config.batchSize,
    rank: 0,
    ranks: 1,
    seed: config.seed,
    preprocessing: info.preprocessing,
    tokenizer: new Tokenizer(),
    contextLength: info.config.text.contextLength,
    workers: 1,
    prefetch: 3,
    maxBadSamples: 100,
  } satisfies Omit<TrainingDataConfig, "source" | "view">
}

function settingsOf(pairs: PairSource): Record<string, string> {
  return Object.fromEntries(
    Object.entries(pairs).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
  )
}
