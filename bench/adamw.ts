/**
 * Time of AdamW's update of the quickstart's student: in one pass over memory, and by libtorch's operators on lists, in turn:
 *
 *     node dist/bench/adamw.js [--rounds 41] [--threads 1]
 *
 * Prints medians in milliseconds of processor time and of wall time.
 */
import { parseArgs } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"
import { variants } from "../src/core/family/variants.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize } from "../src/model/module.ts"
import { TorchInterpreter } from "../src/tensor/torch.ts"
import { type AdamWTensors, adamW, foreachAdamW } from "../torch/adamw.ts"
import * as torch from "../torch/index.ts"

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "41" }, threads: { type: "string", default: "1" } },
})
const settings = { learningRate: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.2, updates: 10 }

interface Time {
  readonly processor: number
  readonly clock: number
}

function main(): void {
  torch.setThreads(Number(options.threads))
  const tensors = studentTensors()
  const rounds = Array.from({ length: Number(options.rounds) }, () => ({
    foreach: timed(() => foreachAdamW(tensors, settings)),
    fused: timed(() => adamW(tensors, settings)),
  }))
  const values = tensors.parameters.reduce((sum, { numel }) => sum + numel, 0)
  console.log(
    `libtorch ${torch.version()}, threads ${torch.threads()}: ${tensors.parameters.length} tensors, ${values} values`,
  )
  for (const form of ["foreach", "fused"] as const) {
    const of = (part: keyof Time) => median(rounds.map((round) => round[form][part])).toFixed(2)
    console.log(`  ${form.padEnd(8)} ${of("processor")} ms of processor time, ${of("clock")} ms`)
  }
}

function studentTensors(): AdamWTensors {
  const model = new Clip(variants.quickstart.model)
  initialize(model, 0)
  const parameters = [...new TorchInterpreter(model, { training: true }).trainable().values()]
  const small = () => parameters.map(({ shape }) => torch.rand(shape).mul(1e-3))
  return { parameters, gradients: small(), firstMoments: small(), secondMoments: small() }
}

function timed(run: () => void): Time {
  const [before, start] = [process.cpuUsage(), performance.now()]
  torch.noGrad(() => torch.scope(run))
  const { user, system } = process.cpuUsage(before)
  return { processor: (user + system) / 1000, clock: performance.now() - start }
}

main()
