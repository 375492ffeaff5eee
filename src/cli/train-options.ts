/** From the command line's options to a training run. */
import { UserError } from "../core/errors.ts"
import { type Variant, variants } from "../core/variants.ts"
import { type CaptionChoice, stepsPerEpoch } from "../data/batches.ts"
import { expandShards } from "../data/expand.ts"
import { loadPictures, trainingSide } from "../data/pictures.ts"
import { type ProgressMode, progressReporter } from "./progress.ts"
import { runTraining } from "./training.ts"

export interface TrainOptions {
  readonly trainData: string
  readonly model: string
  readonly out: string
  readonly steps?: number
  readonly epochs?: number
  readonly batchSize: number
  readonly lr: number
  readonly warmup: number
  readonly wd: number
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly gradClipNorm: number
  readonly precision: "fp32" | "amp_bf16"
  readonly caption: CaptionChoice
  readonly seed: number
  readonly saveEvery: number
  readonly resume?: true
  readonly device: "cpu" | "cuda" | "mps"
  readonly threads: number
  readonly progress: ProgressMode
  readonly json?: true
}

export interface TrainSummary {
  readonly checkpoint: string
  readonly steps: number
  readonly samplesSeen: number
  readonly samplesPerSecond: number
  readonly finalLoss: number | null
}

export async function trainFromOptions(options: TrainOptions, signal: AbortSignal): Promise<TrainSummary> {
  const { model, preprocessing } = variantNamed(options.model)
  const startProgress = progressReporter(options.progress)
  const shards = await expandShards(options.trainData)
  const loading = startProgress("load", shards.length * 1000, { unit: "pictures" })
  const pictures = await loadPictures(shards, {
    side: trainingSide(preprocessing.size),
    interpolation: preprocessing.interpolation,
    onProgress: (done) => loading.update(done),
    signal,
  })
  loading.done()
  const steps = options.steps ?? (options.epochs ?? 32) * stepsPerEpoch(pictures.length, options.batchSize)
  const { state, log, checkpoint, samplesPerSecond } = await runTraining({
    directory: options.out,
    info: { name: options.model, config: model, preprocessing, license: "your own", samplesSeen: 0 },
    config: {
      ...options,
      steps,
      learningRate: options.lr,
      warmupSteps: Math.min(options.warmup, steps - 1),
      weightDecay: options.wd,
      ...(options.precision === "amp_bf16" && { autocast: "bfloat16" as const }),
    },
    pictures,
    caption: options.caption,
    resume: options.resume ?? false,
    startProgress,
    signal,
  })
  const { samplesSeen } = state.info
  return { checkpoint, steps, samplesSeen, samplesPerSecond, finalLoss: log.at(-1)?.loss ?? null }
}

function variantNamed(name: string): Variant {
  if (Object.hasOwn(variants, name)) return variants[name as keyof typeof variants]
  throw new UserError(`there is no model named "${name}"`, `choose one of ${Object.keys(variants).join(", ")}`)
}
