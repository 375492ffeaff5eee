/**
 * Time of AdamW's update of a model, by default the quickstart's student: in one pass over memory, and by libtorch's operators
 * on lists, in turn:
 *
 *     node dist/bench/adamw.js [--rounds 41] [--threads 1] [--model quickstart] [--device cpu] [--libtorch] [--json]
 *
 * Prints medians in milliseconds of processor time and of wall time. The one pass is the addon's on the processor, and
 * libtorch's own operator (`_fused_adamw_`) on a GPU, or everywhere with `--libtorch`. With `--json` also the largest difference
 * that a parameter has between the two after three updates, relative to the largest parameter.
 */
import { parseArgs } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"
import { assert } from "../src/core/errors.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize } from "../src/model/module.ts"
import { checkDevice, TorchInterpreter } from "../src/tensor/torch.ts"
import { type AdamWTensors, adamW, foreachAdamW, libtorchAdamW } from "../torch/adamw.ts"
import * as torch from "../torch/index.ts"
import { configOf } from "./cuda/measure-step.ts"

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "41" },
    threads: { type: "string", default: "1" },
    model: { type: "string", default: "quickstart" },
    device: { type: "string", default: "cpu" },
    libtorch: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
})
const device = options.device as torch.Device
const settings = { learningRate: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.2, updates: 10 }

interface Time {
  readonly processor: number
  readonly clock: number
}

function main(): void {
  checkDevice(device)
  torch.setThreads(Number(options.threads))
  const tensors = modelTensors()
  const rounds = Array.from({ length: Number(options.rounds) }, () => ({
    foreach: timed(() => foreachAdamW(tensors, settings)),
    fused: timed(() => inOnePass(tensors, settings.updates)),
  }))
  const values = tensors.parameters.reduce((sum, { numel }) => sum + numel, 0)
  const middle = (form: "foreach" | "fused", part: keyof Time) => median(rounds.map((round) => round[form][part]))
  if (options.json) {
    const [foreach, fused] = [middle("foreach", "clock"), middle("fused", "clock")]
    console.log(JSON.stringify({ ...options, libtorch: torch.version(), values, foreach, fused, apart: apart() }))
    return
  }
  console.log(
    `libtorch ${torch.version()}, threads ${torch.threads()}: ${tensors.parameters.length} tensors, ${values} values`,
  )
  for (const form of ["foreach", "fused"] as const) {
    const [processor, clock] = [middle(form, "processor").toFixed(2), middle(form, "clock").toFixed(2)]
    console.log(`  ${form.padEnd(8)} ${processor} ms of processor time, ${clock} ms`)
  }
}

function inOnePass(tensors: AdamWTensors, updates: number): void {
  const now = { ...settings, updates }
  if (options.libtorch) assert(libtorchAdamW(tensors, now), "this libtorch has no _fused_adamw_ here")
  else adamW(tensors, now)
}

/** After three updates, of the same values by both. */
function apart(): number {
  const [one, other] = [0, 1].map(() => {
    torch.manualSeed(1)
    return modelTensors()
  }) as [AdamWTensors, AdamWTensors]
  return torch.noGrad(() =>
    torch.scope(() => {
      for (const updates of [1, 2, 3]) {
        inOnePass(one, updates)
        foreachAdamW(other, { ...settings, updates })
      }
      const largest = (tensors: readonly torch.Tensor[]) => Math.max(...tensors.map((x) => x.abs().max().item()))
      return largest(one.parameters.map((x, i) => x.sub(other.parameters[i]!))) / largest(other.parameters)
    }),
  )
}

function modelTensors(): AdamWTensors {
  const model = new Clip(configOf(options.model))
  initialize(model, 0)
  const parameters = [...new TorchInterpreter(model, { training: true, device }).trainable().values()]
  const small = () => parameters.map(({ shape }) => torch.rand(shape, { device }).mul(1e-3))
  return { parameters, gradients: small(), firstMoments: small(), secondMoments: small() }
}

function timed(run: () => void): Time {
  const [before, start] = [process.cpuUsage(), performance.now()]
  torch.noGrad(() => torch.scope(run))
  torch.synchronize(device)
  const { user, system } = process.cpuUsage(before)
  return { processor: (user + system) / 1000, clock: performance.now() - start }
}

main()
