/**
 * Images per second of a training step on a GPU, and what share of its bf16 peak that is:
 *
 *     node dist/bench/cuda-step.js [--model mobileclip2-b] [--batch 1024] [--chunk 256] [--precision bfloat16]
 *         [--objective reinforced|plain] [--caption-tokens 77] [--channels-last] [--benchmark] [--steps 8]
 *         [--device cuda] [--json]
 *
 * Reinforced: distillation from two teachers of 768 dimensions, with a real and a synthetic caption per picture. The batch is
 * random and the same for all steps; each step copies it to the GPU again. Figures are medians, after three untimed steps. Model
 * FLOPs are two for each multiply-add of the cost interpreter, including attention's, times three (forward and backward) or four
 * with chunks, which are encoded twice. The peak is measured with a product of 8192 x 8192 bf16 matrices.
 * `pytorch/open_clip_step.py` is the plain step in open_clip's trainer.
 */
import { parseArgs } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"
import { Random } from "../src/core/arrays/random.ts"
import { UserError } from "../src/core/errors.ts"
import { type VariantName, variants } from "../src/core/family/variants.ts"
import type { Precision } from "../src/core/precision.ts"
import type { Batch } from "../src/data/training/batch.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize } from "../src/model/module.ts"
import { measureCost } from "../src/tensor/cost.ts"
import { checkDevice, TorchInterpreter } from "../src/tensor/torch.ts"
import type { ObjectiveConfig } from "../src/train/objective.ts"
import { AdamW } from "../src/train/optimizer/adamw.ts"
import { computeGradients, type Trainer, updateParameters } from "../src/train/step.ts"
import * as torch from "../torch/index.ts"

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "mobileclip2-b" },
    batch: { type: "string", default: "1024" },
    chunk: { type: "string", default: "256" },
    precision: { type: "string", default: "bfloat16" },
    objective: { type: "string", default: "reinforced" },
    "caption-tokens": { type: "string", default: "77" },
    "channels-last": { type: "boolean", default: false },
    benchmark: { type: "boolean", default: false },
    steps: { type: "string", default: "8" },
    device: { type: "string", default: "cuda" },
    json: { type: "boolean", default: false },
  },
})
const [batchSize, chunkSize, captionTokens] = [options.batch, options.chunk, options["caption-tokens"]].map(Number) as [
  number,
  number,
  number,
]
const reinforced = options.objective === "reinforced"
checkDevice(options.device)
const device = options.device as torch.Device
const teacherWidths = [768, 768]
const adamW = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.2 }
const update = { learningRate: 1e-6, gradClipNorm: 1 }
const objective: ObjectiveConfig = reinforced
  ? { kind: "distill", weights: [0, 1], scales: [100, 100], averageAfterSoftmax: true }
  : { kind: "clip" }

interface StepTimes {
  /** Forward and backward, seconds. */
  readonly gradients: number
  /** Clipping and AdamW. */
  readonly update: number
  readonly total: number
}

function main(): void {
  const { model: config } = variants[modelName(options.model)]
  torch.setCudaOptions({ tf32: true, benchmark: options.benchmark })
  const peak = matmulRate()
  const model = new Clip(config)
  initialize(model, 0)
  const batch = randomBatch(model)
  const trainer = trainerOf(model)
  const losses = Array.from({ length: 3 }, () => step(trainer, batch).loss)
  const steps = Array.from({ length: Number(options.steps) }, () => step(trainer, batch))
  const [gradients, updating, total] = (["gradients", "update", "total"] as const).map((part) =>
    median(steps.map((times) => times[part])),
  ) as [number, number, number]
  const flops = flopsPerPair(model) * batchSize
  const result = {
    ...options,
    libtorch: torch.version(),
    ...{ total, gradients, update: updating },
    imagesPerSecond: batchSize / total,
    modelTeraFlops: flops / total / 1e12,
    peakTeraFlops: peak / 1e12,
    shareOfPeak: flops / total / peak,
    peakMemoryGiB: (torch.memory().cuda?.[0]?.peak ?? 0) / 2 ** 30,
    losses,
  }
  console.log(options.json ? JSON.stringify(result) : describe(result))
}

function describe(result: Record<string, unknown>): string {
  const text = (value: unknown) => (typeof value === "number" ? Number(value.toPrecision(4)) : value)
  return Object.entries(result)
    .map(([name, value]) => `${name.padEnd(16)} ${Array.isArray(value) ? value.map(text).join(" ") : text(value)}`)
    .join("\n")
}

function step(trainer: Trainer, batch: Batch): StepTimes & { readonly loss: number } {
  const precision = options.precision as Precision
  const start = performance.now()
  const { loss } = computeGradients(trainer, batch, { objective, precision, chunkSize })
  torch.synchronize(device)
  const middle = performance.now()
  updateParameters(trainer, update)
  torch.synchronize(device)
  const end = performance.now()
  return { loss, gradients: (middle - start) / 1e3, update: (end - middle) / 1e3, total: (end - start) / 1e3 }
}

function trainerOf(model: Clip): Trainer {
  const channelsLast = options["channels-last"]
  const interpreter = new TorchInterpreter(model, { training: true, device, channelsLast })
  return { model, interpreter, optimizer: new AdamW(interpreter.trainable(), adamW) }
}

/** Forward, backward, and the second forward of chunks. */
function flopsPerPair(model: Clip): number {
  const { imageSize, text } = model.config
  const parameters = model.namedParameters()
  const image = measureCost(parameters, [[1, 3, imageSize, imageSize]], (x) => model.encodeImage(x!))
  const captions = measureCost(parameters, [[reinforced ? 2 : 1, text.contextLength]], (ids) => model.encodeText(ids!))
  const forward = [image, captions].reduce((sum, cost) => sum + cost.multiplyAdds + cost.attentionMultiplyAdds, 0)
  return 2 * forward * (chunkSize < batchSize ? 4 : 3)
}

/** FLOPs per second of a large bf16 product. */
function matmulRate(): number {
  const [n, repeats] = [device === "cpu" ? 512 : 8192, 20]
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

function randomBatch({ config: { imageSize, text } }: Clip): Batch {
  const random = new Random(1)
  const noise = Float32Array.from({ length: 3 * imageSize ** 2 }, () => 2 * random.uniform() - 1)
  const images = new Float32Array(batchSize * noise.length)
  for (let n = 0; n < batchSize; n++) images.set(noise, n * noise.length)
  images.forEach((_, i) => {
    if (i % 97 === 0) images[i] = random.uniform()
  })
  const captions = () => randomCaptions(random, text.contextLength)
  const teacher = { image: unitRows(), text: unitRows(), synthetic: unitRows(), widths: teacherWidths }
  return { images, tokens: captions(), ...(reinforced && { synthetic: captions(), teacher }) }
}

function randomCaptions(random: Random, contextLength: number): BigInt64Array {
  const tokens = new BigInt64Array(batchSize * contextLength)
  for (let n = 0; n < batchSize; n++) {
    const ids = [49406, ...Array.from({ length: captionTokens - 2 }, () => 1 + random.int(49000)), 49407]
    tokens.set(ids.map(BigInt), n * contextLength)
  }
  return tokens
}

/** [N, 2 x 768], each teacher's part of length 1. */
function unitRows(): Float32Array {
  return torch.scope(() => {
    const parts = teacherWidths.map((width) => {
      const rows = torch.randn([batchSize, width])
      return rows.div(rows.norm([1], true))
    })
    return torch.cat(parts, 1).data() as Float32Array
  })
}

function modelName(name: string): VariantName {
  if (name in variants) return name as VariantName
  throw new UserError(`there is no model "${name}"`, `there are: ${Object.keys(variants).join(", ")}`)
}

main()
