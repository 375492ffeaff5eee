/**
 * Trains one of several models of a comparison on its data. An unfinished run goes on; a finished one is kept. All settings are
 * plain data, so that another process can do it.
 */
import type { ModelConfig } from "../../core/family/variants.ts"
import type { StartProgress } from "../../core/progress.ts"
import { Tokenizer } from "../../core/text/tokenizer.ts"
import type { TrainingDataConfig } from "../../data/training/config.ts"
import { openTrainingData } from "../../data/training/training-data.ts"
import { openTasks } from "../../evaluate/task-list.ts"
import { buildModel, type CheckpointInfo } from "../../model/checkpoint/checkpoint.ts"
import { initialize, type Module } from "../../model/module.ts"
import { TorchEncoder } from "../../tensor/torch-encoder.ts"
import { runTraining, type TrainingResult } from "../../train/run/run-directory.ts"
import type { TrainConfig } from "../../train/train.ts"
import { withCheckpoint } from "../../weights/open-checkpoint.ts"

/** Where the pairs come from and how they are read. */
export type PairSource = Pick<TrainingDataConfig, "source" | "view"> &
  Partial<Pick<TrainingDataConfig, "captionKey" | "cropScale" | "format">>

export interface ModelTraining {
  readonly directory: string
  /** Label of the progress line. */
  readonly name: string
  readonly info: CheckpointInfo<ModelConfig>
  readonly config: TrainConfig
  readonly pairs: PairSource
  /** A task list, scored every `config.evaluateEvery` steps. */
  readonly tasks?: string
  /** A checkpoint of a model with common towers: the model starts with their weights. */
  readonly startFrom?: string
}

interface TrainingContext {
  readonly startProgress: StartProgress
  readonly signal: AbortSignal
}

export async function trainModel(training: ModelTraining, context: TrainingContext): Promise<TrainingResult> {
  const { directory, name, info, pairs } = training
  const tasks = training.tasks === undefined ? null : await openTasks(training.tasks)
  const data = await openTrainingData({ ...loaderConfig(training), ...pairs })
  try {
    return await runTraining({
      ...context,
      ...{ directory, name, info },
      config: { ...training.config, data: { ...settingsOf(pairs), data: data.identity, ...data.orderSettings } },
      batches: (firstStep) => data.batches(firstStep),
      bad: data.bad,
      ...(tasks && {
        evaluate: ({ model, interpreter }) => tasks.score(new TorchEncoder(model, interpreter, info)),
      }),
      ...(training.startFrom !== undefined && { start: await startOf(training, training.startFrom) }),
      existing: "continue",
    })
  } finally {
    await data.close()
  }
}

/** The other model's image tower, token embeddings and temperature; the rest is initialised. */
function startOf({ info, config }: ModelTraining, checkpoint: string): Promise<Map<string, Float32Array>> {
  const model = buildModel(info.config)
  initialize(model, config.seed)
  return withCheckpoint(checkpoint, async ({ model: learned }) => {
    startFrom(model, learned, (path) => /^image\.|^text\.tokenEmbedding|^logitScale/.test(path))
    return new Map([...model.namedParameters()].map(([path, parameter]) => [path, parameter.read()]))
  })
}

/**
 * Gives `model` the values of `learned` for every path that both have with one shape and that `wanted` accepts; the
 * others keep theirs. Returns the paths. Both must be in the same form.
 */
export function startFrom(model: Module, learned: Module, wanted: (path: string) => boolean): string[] {
  const known = learned.namedParameters()
  const taken: string[] = []
  for (const [path, parameter] of model.namedParameters()) {
    const source = known.get(path)
    if (!source || String(source.shape) !== String(parameter.shape) || !wanted(path)) continue
    parameter.source = () => source.read()
    taken.push(path)
  }
  return taken
}

/** Settings of the loader that do not depend on where the pairs come from. */
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

/** Without the path of the pairs, which may change. */
function settingsOf({ source: _, ...pairs }: PairSource): Record<string, string> {
  return Object.fromEntries(
    Object.entries(pairs).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
  )
}
