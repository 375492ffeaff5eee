/**
 * Images per second of a training step on a GPU, and what share of its bf16 peak that is:
 *
 *     node dist/bench/cuda-step.js [--model mobileclip2-b] [--batch 1024] [--chunk 256] [--precision bfloat16]
 *         [--objective reinforced|plain] [--caption-tokens 77] [--no-channels-last] [--no-benchmark] [--graph] [--steps 8]
 *         [--device cuda] [--json]
 *
 * Reinforced: distillation from two teachers of 768 dimensions, with a real and a synthetic caption per picture. The batch is
 * random and the same for all steps; each step copies it to the GPU again. Channels-last and cuDNN's choice by times are on, as
 * in `train`; `--graph` records forward and backward as a CUDA graph. Figures are medians, after three untimed steps. Model
 * FLOPs are two for each multiply-add of the cost interpreter, including attention's, times three (forward and backward) or four
 * with chunks, which are encoded twice. The peak is measured with a product of 8192 x 8192 bf16 matrices.
 * `pytorch/open_clip_step.py` is the plain step in open_clip's trainer.
 */
import { parseArgs } from "node:util"
import type { Precision } from "../src/core/precision.ts"
import { checkDevice } from "../src/tensor/torch.ts"
import type { Device } from "../torch/index.ts"
import { measureStep } from "./cuda/measure-step.ts"

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "mobileclip2-b" },
    batch: { type: "string", default: "1024" },
    chunk: { type: "string", default: "256" },
    precision: { type: "string", default: "bfloat16" },
    objective: { type: "string", default: "reinforced" },
    "caption-tokens": { type: "string", default: "77" },
    "no-channels-last": { type: "boolean", default: false },
    "no-benchmark": { type: "boolean", default: false },
    graph: { type: "boolean", default: false },
    steps: { type: "string", default: "8" },
    device: { type: "string", default: "cuda" },
    json: { type: "boolean", default: false },
  },
})

function main(): void {
  checkDevice(options.device)
  const measured = measureStep({
    ...{ model: options.model, device: options.device as Device, precision: options.precision as Precision },
    ...{ batch: Number(options.batch), chunk: Number(options.chunk), steps: Number(options.steps) },
    ...{ reinforced: options.objective === "reinforced", captionTokens: Number(options["caption-tokens"]) },
    ...{ channelsLast: !options["no-channels-last"], benchmark: !options["no-benchmark"], graph: options.graph },
  })
  const result = { ...options, ...measured }
  console.log(options.json ? JSON.stringify(result) : describe(result))
}

function describe(result: Record<string, unknown>): string {
  const text = (value: unknown) => (typeof value === "number" ? Number(value.toPrecision(4)) : value)
  return Object.entries(result)
    .map(([name, value]) => `${name.padEnd(25)} ${Array.isArray(value) ? value.map(text).join(" ") : text(value)}`)
    .join("\n")
}

main()
