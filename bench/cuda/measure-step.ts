/** A training step of a CLIP model on one random batch, timed, and what share of the device's bf16 peak it reaches. */
import { median } from "../../src/core/arrays/quantile.ts"
import { Random } from "../../src/core/arrays/random.ts"
import { UserError } from "../../src/core/errors.ts"
import { type ClipConfig, type VariantName, variants } from "../../src/core/family/variants.ts"
import type { Precision } from "../../src/core/precision.ts"
import type { Batch } from "../../src/data/training/batch.ts"
import { Clip } from "../../src/model/clip.ts"
import { initialize } from "../../src/model/module.ts"
import { measureCost } from "../../src/tensor/cost.ts"
import { TorchInterpreter } from "../../src/tensor/torch.ts"
import type { ObjectiveConfig } from "../../src/train/objective.ts"
import { AdamW } from "../../src/train/optimizer/adamw.ts"
import { initialLossScale } from "../../src/train/optimizer/loss-scaler.ts"
import { computeGradients, type Trainer, updateParameters } from "../../src/train/step.ts"
import { tinyConfig } from "../../test/tiny-model.ts"
import * as torch from "../../torch/index.ts"
import { FixedInputs, recordGradients } from "./recorded-gradients.ts"

export interface StepOptions {
  /** A member of the family, or "tiny". */
  readonly model: string
  readonly device: torch.Device
  readonly batch: number
  readonly chunk: number
  readonly precision: Precision
  /** Whether it is distilled from two teachers, with two captions for each picture. */
  readonly reinforced: boolean
  readonly captionTokens: number
  readonly channelsLast: boolean
  /** cuDNN's choice of algorithms by their times. */
  readonly benchmark: boolean
  /** Forward and backward as a CUDA graph. */
  readonly graph: boolean
  readonly steps: number
}

export interface StepResult {
  readonly libtorch: string
  /** Medians in seconds: of the step, of forward and backward, of clipping and AdamW. */
  readonly total: number
  readonly gradients: number
  readonly update: number
  readonly imagesPerSecond: number
  readonly modelTeraFlops: number
  /** The rate of a large bf16 product, measured. */
  readonly peakTeraFlops: number
  /** Share of the peak, with what chunks compute twice. */
  readonly shareOfPeak: number
  readonly shareWithoutRecomputation: number
  readonly peakMemoryGiB: number
  /** Losses of the first three steps, which are not timed. */
  readonly losses: readonly number[]
}

const teacherWidths = [768, 768]
const adamW = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.2 }
const update = { learningRate: 1e-6, gradClipNorm: 1 }
const distillation: ObjectiveConfig = {
  kind: "distill",
  weights: [0, 1],
  scales: [100, 100],
  averageAfterSoftmax: true,
}

/** @throws UserError where there is no such model */
export function measureStep(options: StepOptions): StepResult {
  const { batch: batchSize } = options
  torch.setCudaOptions({ tf32: true, benchmark: options.benchmark })
  const peak = matmulRate(options.device)
  const model = new Clip(configOf(options.model))
  initialize(model, 0)
  const step = stepOf(trainerOf(model, options), randomBatch(model, options), options)
  const losses = Array.from({ length: 3 }, () => step().loss)
  const steps = Array.from({ length: options.steps }, step)
  const middle = (part: "gradients" | "update" | "total") => median(steps.map((times) => times[part]))
  const [total, passes] = [middle("total"), options.chunk < batchSize ? 4 : 3]
  const flops = 2 * multiplyAdds(model, options) * batchSize
  return {
    libtorch: torch.version(),
    ...{ total, gradients: middle("gradients"), update: middle("update"), imagesPerSecond: batchSize / total },
    ...{ modelTeraFlops: (passes * flops) / total / 1e12, peakTeraFlops: peak / 1e12 },
    ...{ shareOfPeak: (passes * flops) / total / peak, shareWithoutRecomputation: (3 * flops) / total / peak },
    peakMemoryGiB: (torch.memory().cuda?.[0]?.peak ?? 0) / 2 ** 30,
    losses,
  }
}

type Step = () => Pick<StepResult, "gradients" | "update" | "total"> & { readonly loss: number }

function stepOf(
  trainer: Trainer & { readonly interpreter: FixedInputs | TorchInterpreter },
  batch: Batch,
  options: StepOptions,
): Step {
  const { device, precision, chunk: chunkSize } = options
  const objective: ObjectiveConfig = options.reinforced ? distillation : { kind: "clip" }
  const config = { objective, precision, chunkSize }
  const { interpreter } = trainer
  const recorded =
    interpreter instanceof FixedInputs ? recordGradients({ ...trainer, interpreter }, batch, config) : undefined
  const gradients = recorded ? () => recorded.run() : () => computeGradients(trainer, batch, config).loss
  return () => {
    const start = performance.now()
    const loss = gradients()
    torch.synchronize(device)
    const middle = performance.now()
    updateParameters(trainer, update, loss)
    torch.synchronize(device)
    const end = performance.now()
    return { loss, gradients: (middle - start) / 1e3, update: (end - middle) / 1e3, total: (end - start) / 1e3 }
  }
}

function trainerOf(model: Clip, { channelsLast, device, precision, graph }: StepOptions): Trainer {
  const options = { training: true, device, channelsLast }
  const interpreter = graph ? new FixedInputs(model, options) : new TorchInterpreter(model, options)
  const optimizer = new AdamW(interpreter.trainable(), adamW)
  return { model, interpreter, optimizer, ...(precision === "float16" && { lossScaler: initialLossScale }) }
}

/** The configuration of a member of the family, or of "tiny". */
export function configOf(name: string): ClipConfig {
  if (name === "tiny") return tinyConfig
  if (name in variants) return variants[name as VariantName].model
  throw new UserError(`there is no model "${name}"`, `there are: tiny, ${Object.keys(variants).join(", ")}`)
}

/** Those of one forward pass of a pair, with its synthetic caption and with attention's. */
function multiplyAdds(model: Clip, { reinforced }: StepOptions): number {
  const { imageSize, text } = model.config
  const parameters = model.namedParameters()
  const image = measureCost(parameters, [[1, 3, imageSize, imageSize]], (x) => model.encodeImage(x!))
  const captions = measureCost(parameters, [[reinforced ? 2 : 1, text.contextLength]], (ids) => model.encodeText(ids!))
  return [image, captions].reduce((sum, cost) => sum + cost.multiplyAdds + cost.attentionMultiplyAdds, 0)
}

/** FLOPs per second of a large bf16 product. */
function matmulRate(device: torch.Device): number {
  const [n, repeats] = device === "cpu" ? [512, 3] : [8192, 20]
  return torch.noGrad(() =>
    torch.scope(() => {
      const [a, b] = [0, 1].map(() => torch.randn([n, n], { dtype: "bfloat16", device })) as [
        torch.Tensor,
        torch.Tensor,
      ]
      for (let i = 0; i < 3; i++) a.matmul(b).free()
      torch.synchronize(device)
      const start = performance.now()
      for (let i = 0; i < repeats; i++) a.matmul(b).free()
      torch.synchronize(device)
      return (repeats * 2 * n ** 3) / ((performance.now() - start) / 1e3)
    }),
  )
}

// --------------------------------------------------------------------------------------------------------- inputs

function randomBatch(
  { config: { imageSize, text } }: Clip,
  { batch: batchSize, captionTokens, reinforced }: StepOptions,
): Batch {
  const random = new Random(1)
  const noise = Float32Array.from({ length: 3 * imageSize ** 2 }, () => 2 * random.uniform() - 1)
  const images = new Float32Array(batchSize * noise.length)
  for (let n = 0; n < batchSize; n++) images.set(noise, n * noise.length)
  images.forEach((_, i) => {
    if (i % 97 === 0) images[i] = random.uniform()
  })
  const rows = () => unitRows(batchSize)
  const captions = () => randomCaptions(random, { batchSize, captionTokens, contextLength: text.contextLength })
  const teacher = { image: rows(), text: rows(), synthetic: rows(), widths: teacherWidths }
  return { images, tokens: captions(), ...(reinforced && { synthetic: captions(), teacher }) }
}

interface CaptionShape {
  readonly batchSize: number
  readonly captionTokens: number
  readonly contextLength: number
}

function randomCaptions(random: Random, { batchSize, captionTokens, contextLength }: CaptionShape): BigInt64Array {
  const tokens = new BigInt64Array(batchSize * contextLength)
  for (let n = 0; n < batchSize; n++) {
    const ids = [49406, ...Array.from({ length: captionTokens - 2 }, () => 1 + random.int(49000)), 49407]
    tokens.set(ids.map(BigInt), n * contextLength)
  }
  return tokens
}

/** [N, 2 x 768], each teacher's part of length 1. */
function unitRows(batchSize: number): Float32Array {
  return torch.scope(() => {
    const parts = teacherWidths.map((width) => {
      const rows = torch.randn([batchSize, width])
      return rows.div(rows.norm([1], true))
    })
    return torch.cat(parts, 1).data() as Float32Array
  })
}
