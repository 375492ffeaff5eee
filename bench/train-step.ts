/**
 * Time of a training step of a small model on one random batch; with `--reinforced`, the batch has two captions and two teachers:
 *
 *     node dist/bench/train-step.js [--steps 20] [--batch 96] [--threads N] [--reinforced] [--json] [--dump FILE] [--paced]
 *
 * Prints medians in milliseconds, samples/s, what memory cost, and the losses of the first three steps, which are not timed. `--dump`
 * writes weights and batch before the first step, for the same step elsewhere (`pytorch/train_step.py`). With `--paced`
 * it makes one step for every line of stdin and prints each as a line of JSON: see `compare-pytorch.ts`.
 */
import { createInterface } from "node:readline"
import { parseArgs } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"
import { safetensorsChunks } from "../src/core/containers/safetensors.ts"
import { variants } from "../src/core/family/variants.ts"
import type { Batch } from "../src/data/training/batch.ts"
import { writeAtomically } from "../src/host/files/files.ts"
import { checkpointTensors } from "../src/model/checkpoint/checkpoint.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize } from "../src/model/module.ts"
import { defaultTrainConfig } from "../src/train/train.ts"
import * as torch from "../torch/index.ts"
import { objectiveOf, randomBatch } from "./step/random-batch.ts"
import { type StepTimes, TimedTrainer } from "./step/timed-trainer.ts"

/** The first line of `--paced`. */
export interface Start {
  /** The version of libtorch. */
  readonly version: string
  readonly threads: number
  readonly batch: number
  /** Losses of three untimed steps. */
  readonly losses: readonly number[]
}

const { values: options } = parseArgs({
  options: {
    steps: { type: "string", default: "20" },
    batch: { type: "string", default: "96" },
    threads: { type: "string" },
    reinforced: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    dump: { type: "string" },
    paced: { type: "boolean", default: false },
  },
})
const { model: config } = variants.quickstart
const batchSize = Number(options.batch)

async function main(): Promise<void> {
  if (options.threads) torch.setThreads(Number(options.threads))
  const model = new Clip(config)
  initialize(model, defaultTrainConfig.seed)
  const batch = randomBatch(config, { batch: batchSize, reinforced: options.reinforced })
  if (options.dump) await dump(options.dump, model, batch)
  const trainer = new TimedTrainer(model, { objective: objectiveOf(options.reinforced) })
  const step = () => trainer.step(batch)
  const losses = Array.from({ length: 3 }, () => step().loss)
  const start = { version: torch.version(), threads: torch.threads(), batch: batchSize, losses }
  if (options.paced) return paced(start, step)
  const usage = process.resourceUsage()
  const steps = Array.from({ length: Number(options.steps) }, step)
  const memory = memorySince(usage, steps.length)
  const times = medians(steps)
  const text = () => `${describe(start, times)}\n${describeMemory(memory)}`
  console.log(options.json ? JSON.stringify({ ...start, ...times, ...memory }) : text())
}

/** What the system did for a step's memory, and the largest resident size of the process. */
function memorySince(before: NodeJS.ResourceUsage, steps: number) {
  const after = process.resourceUsage()
  return {
    pageFaults: (after.minorPageFault - before.minorPageFault) / steps,
    systemMilliseconds: (after.systemCPUTime - before.systemCPUTime) / 1000 / steps,
    peakMebibytes: after.maxRSS / 1024,
  }
}

function describeMemory({ pageFaults, systemMilliseconds, peakMebibytes }: ReturnType<typeof memorySince>): string {
  const step = `${pageFaults.toFixed(0)} page faults and ${systemMilliseconds.toFixed(1)} ms in the system a step`
  return `${step}; ${peakMebibytes.toFixed(0)} MiB resident at most`
}

async function paced(start: Start, step: () => StepTimes): Promise<void> {
  console.log(JSON.stringify(start))
  for await (const _ of createInterface({ input: process.stdin })) console.log(JSON.stringify(step()))
}

function medians(steps: readonly StepTimes[]): StepTimes {
  const of = (part: keyof StepTimes) => median(steps.map((times) => times[part]))
  return { gradients: of("gradients"), update: of("update"), total: of("total") }
}

function describe({ version, threads, batch, losses }: Start, { gradients, update, total }: StepTimes): string {
  return [
    `libtorch ${version}, ${threads} threads, batch ${batch}`,
    `${total.toFixed(1)} ms: ${gradients.toFixed(1)} forward and backward, ${update.toFixed(1)} update`,
    `${((1000 * batch) / total).toFixed(0)} samples/s`,
    `losses ${losses.map((loss) => loss.toFixed(6)).join(" ")}`,
  ].join("\n")
}

/** A safetensors file: parameters by our paths, the batch as `batch.*`; numbers as JSON in the metadata. */
async function dump(path: string, model: Clip, { images, tokens, synthetic, teacher }: Batch): Promise<void> {
  const { imageSize, text } = config
  const ids = (name: string, read: BigInt64Array) =>
    ({ name, dtype: "I64", shape: [batchSize, text.contextLength], read: () => read }) as const
  const rows = (name: string, read: Float32Array) =>
    ({
      name: `batch.teacher.${name}`,
      dtype: "F32",
      shape: [batchSize, read.length / batchSize],
      read: () => read,
    }) as const
  const tensors = [
    ...checkpointTensors(model),
    { name: "batch.images", dtype: "F32", shape: [batchSize, 3, imageSize, imageSize], read: () => images } as const,
    ids("batch.tokens", tokens),
    ...(synthetic ? [ids("batch.synthetic", synthetic)] : []),
    ...(teacher
      ? [rows("image", teacher.image), rows("text", teacher.text), rows("synthetic", teacher.synthetic!)]
      : []),
  ]
  const metadata = { config: JSON.stringify(config), hyperparameters: JSON.stringify(defaultTrainConfig) }
  await writeAtomically(path, safetensorsChunks(tensors, metadata))
}

await main()
