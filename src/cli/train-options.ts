/** From the command line's options to a training run. */
import { devices } from "../../torch/index.ts"
import { UserError } from "../core/errors.ts"
import { Tokenizer } from "../core/tokenizer.ts"
import { type Variant, variants } from "../core/variants.ts"
import { batches, type CaptionChoice, stepsPerEpoch } from "../data/batches.ts"
import { expandShards } from "../data/expand.ts"
import { loadPictures, trainingSide } from "../data/pictures.ts"
import { Clip } from "../model/clip.ts"
import { totalLoss } from "../train/log/entries.ts"
import type { TrainConfig } from "../train/train.ts"
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
  // Before anything is loaded: towers that are not built yet, and devices that are not there.
  new Clip(model)
  checkDevice(options)
  const startProgress = progressReporter(options.progress)
  const loading = startProgress("load", 0, { unit: "pictures" })
  const pictures = await loadPictures(await expandShards(options.trainData), {
    side: trainingSide(preprocessing.size),
    interpolation: preprocessing.interpolation,
    onProgress: (done) => loading.update(done),
    signal,
  })
  loading.done()
  const config = {
    ...trainConfig(options, pictures.length),
    data: { caption: options.caption, pictures: pictures.length },
  }
  const { state, steps, checkpoint, samplesPerSecond } = await runTraining({
    directory: options.out,
    info: { name: options.model, config: model, preprocessing, license: "your own", samplesSeen: 0 },
    config,
    batches: (startStep) =>
      batches(pictures, {
        ...config,
        preprocessing,
        contextLength: model.text.contextLength,
        tokenizer: new Tokenizer(),
        caption: options.caption,
        startStep,
      }),
    existing: options.resume ? "require" : "refuse",
    startProgress,
    signal,
  })
  const { samplesSeen } = state.info
  return { checkpoint, steps: state.step, samplesSeen, samplesPerSecond, finalLoss: totalLoss(steps.at(-1)!) }
}

function trainConfig(options: TrainOptions, pictures: number): TrainConfig {
  const { batchSize, beta1, beta2, eps, gradClipNorm, seed, saveEvery, device, threads, precision } = options
  const steps = options.steps ?? (options.epochs ?? 32) * stepsPerEpoch(pictures, batchSize)
  return {
    objective: { kind: "clip" },
    ...{ batchSize, beta1, beta2, eps, gradClipNorm, seed, saveEvery, device, threads, steps },
    learningRate: options.lr,
    warmupSteps: Math.min(options.warmup, steps - 1),
    weightDecay: options.wd,
    ...(precision === "amp_bf16" && { precision: "bfloat16" as const }),
  }
}

function checkDevice({ device, precision }: TrainOptions): void {
  const present = devices()
  if (!present.some((name) => name === device || name.startsWith(`${device}:`))) {
    throw new UserError(`this libtorch has no device "${device}"`, `it has ${present.join(", ")}`)
  }
  if (device === "mps" && precision === "amp_bf16") {
    throw new UserError("autocast is not available on mps", "use --precision fp32 with --device mps")
  }
}

function variantNamed(name: string): Variant {
  if (Object.hasOwn(variants, name)) return variants[name as keyof typeof variants]
  const built = Object.entries(variants).filter(([, { model }]) => model.image.kind === "fastvit")
  throw new UserError(`there is no model named "${name}"`, `choose one of ${built.map(([key]) => key).join(", ")}`)
}
