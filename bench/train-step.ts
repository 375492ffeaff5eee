/**
 * Time of a training step of the quickstart model, on one random batch:
 *
 *     node dist/bench/train-step.js [--steps 20] [--batch 96] [--threads N] [--json] [--dump FILE]
 *
 * Prints medians in milliseconds, samples/s, and the losses of the first three steps, which are not timed. `--dump`
 * writes weights and batch before the first step, for the same step elsewhere (`pytorch/train_step.py`).
 */
import { parseArgs } from "node:util"
import { Random } from "../src/core/random.ts"
import { safetensorsChunks } from "../src/core/safetensors.ts"
import { variants } from "../src/core/variants.ts"
import { writeAtomically } from "../src/host/files.ts"
import { checkpointTensors } from "../src/model/checkpoint.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize } from "../src/model/module.ts"
import { TorchInterpreter } from "../src/tensor/torch.ts"
import { AdamW } from "../src/train/optimizer.ts"
import { type Batch, computeGradients, updateParameters } from "../src/train/step.ts"
import { defaultTrainConfig } from "../src/train/train.ts"
import * as torch from "../torch/index.ts"

/** What `--json` prints, here and in `pytorch/train_step.py`. Times are medians over the timed steps. */
export interface StepTimes {
  /** Of libtorch. */
  readonly version: string
  readonly threads: number
  readonly batch: number
  /** Milliseconds of forward and backward. */
  readonly gradients: number
  /** Milliseconds of clipping and AdamW. */
  readonly update: number
  /** Milliseconds of whole steps. */
  readonly total: number
  /** Of the untimed steps. */
  readonly losses: readonly number[]
}

const { values: options } = parseArgs({
  options: {
    steps: { type: "string", default: "20" },
    batch: { type: "string", default: "96" },
    threads: { type: "string" },
    json: { type: "boolean", default: false },
    dump: { type: "string" },
  },
})
const { model: config } = variants.quickstart
const batchSize = Number(options.batch)

async function main(): Promise<void> {
  if (options.threads) torch.setThreads(Number(options.threads))
  const model = new Clip(config)
  initialize(model, defaultTrainConfig.seed)
  const batch = randomBatch()
  if (options.dump) await dump(options.dump, model, batch)
  const times = measure(model, batch)
  console.log(options.json ? JSON.stringify(times) : describe(times))
}

function measure(model: Clip, batch: Batch): StepTimes {
  const interpreter = new TorchInterpreter(model, { training: true })
  const trainee = { model, interpreter, optimizer: new AdamW(interpreter.trainable(), defaultTrainConfig) }
  const step = () => {
    const start = performance.now()
    const { loss } = computeGradients(trainee, batch)
    const middle = performance.now()
    updateParameters(trainee, defaultTrainConfig)
    const end = performance.now()
    return { loss, gradients: middle - start, update: end - middle, total: end - start }
  }
  const losses = Array.from({ length: 3 }, () => step().loss)
  const steps = Array.from({ length: Number(options.steps) }, step)
  const medianOf = (part: "gradients" | "update" | "total") => median(steps.map((times) => times[part]))
  return {
    version: torch.version(),
    threads: torch.threads(),
    batch: batchSize,
    gradients: medianOf("gradients"),
    update: medianOf("update"),
    total: medianOf("total"),
    losses,
  }
}

function describe({ version, threads, gradients, update, total, losses }: StepTimes): string {
  return [
    `libtorch ${version}, ${threads} threads, batch ${batchSize}`,
    `${total.toFixed(1)} ms: ${gradients.toFixed(1)} forward and backward, ${update.toFixed(1)} update`,
    `${((1000 * batchSize) / total).toFixed(0)} samples/s`,
    `losses ${losses.map((loss) => loss.toFixed(6)).join(" ")}`,
  ].join("\n")
}

/** Noise, and captions of 12 tokens. */
function randomBatch(): Batch {
  const random = new Random(1)
  const images = Float32Array.from({ length: batchSize * 3 * config.imageSize ** 2 }, () => random.uniform())
  const tokens = new BigInt64Array(batchSize * config.text.contextLength)
  for (let n = 0; n < batchSize; n++) {
    const ids = [49406, ...Array.from({ length: 10 }, () => 1 + random.int(49000)), 49407]
    tokens.set(ids.map(BigInt), n * config.text.contextLength)
  }
  return { images, tokens }
}

/** A safetensors file: parameters by our paths, `batch.images`, `batch.tokens`; numbers as JSON in the metadata. */
async function dump(path: string, model: Clip, { images, tokens }: Batch): Promise<void> {
  const { imageSize, text } = config
  const tensors = [
    ...checkpointTensors(model),
    { name: "batch.images", dtype: "F32", shape: [batchSize, 3, imageSize, imageSize], read: () => images } as const,
    { name: "batch.tokens", dtype: "I64", shape: [batchSize, text.contextLength], read: () => tokens } as const,
  ]
  const metadata = { config: JSON.stringify(config), hyperparameters: JSON.stringify(defaultTrainConfig) }
  await writeAtomically(path, safetensorsChunks(tensors, metadata))
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}

await main()
