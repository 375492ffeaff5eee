/**
 * What averaging gradients over ranks costs a training step, on this machine's processors:
 *
 *     node dist/bench/distributed.js [--nproc 2] [--variant mobileclip2-s0] [--batch 2] [--rounds 7] [--threads N]
 *
 * Each round makes one step without averaging, one that averages after the backward pass, and one that averages during
 * it, in turn, because a shared machine's speed changes within seconds. Prints medians of rank 0 in milliseconds.
 */
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"
import { Random } from "../src/core/arrays/random.ts"
import { UserError } from "../src/core/errors.ts"
import { variants } from "../src/core/family/variants.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize } from "../src/model/module.ts"
import { TorchInterpreter } from "../src/tensor/torch.ts"
import { launch } from "../src/train/distributed/launch.ts"
import {
  type GradientReducer,
  type ProcessGroup,
  processGroupFromEnvironment,
} from "../src/train/distributed/process-group.ts"
import { contrastiveLoss, l2Normalize } from "../src/train/loss.ts"
import * as torch from "../torch/index.ts"

const { values: options } = parseArgs({
  options: {
    nproc: { type: "string", default: "2" },
    variant: { type: "string", default: "mobileclip2-s0" },
    batch: { type: "string", default: "2" },
    rounds: { type: "string", default: "7" },
    threads: { type: "string" },
  },
})
const modes = ["averaged during", "averaged after", "not averaged"] as const
type Mode = (typeof modes)[number]

async function main(): Promise<void> {
  const group = processGroupFromEnvironment()
  if (group) return measure(group)
  const { threads } = options
  await launch({
    program: fileURLToPath(import.meta.url),
    args: process.argv.slice(2),
    processes: Number(options.nproc),
    ...(threads && { threads: Number(threads) }),
    log: (line) => console.error(line),
  })
}

function measure(group: ProcessGroup): void {
  const { step, elements } = trainer(group)
  const times: Record<Mode, number[]> = { "not averaged": [], "averaged after": [], "averaged during": [] }
  // The first round is a warm-up; its first step finds the order in which gradients come.
  for (let round = 0; round <= Number(options.rounds); round++) {
    for (const mode of modes) {
      group.any(false)
      const start = performance.now()
      step(mode)
      group.any(false)
      if (round > 0) times[mode].push(performance.now() - start)
    }
  }
  group.close()
  if (group.rank > 0) return
  console.log(`${options.variant}, ${group.size} ranks of ${torch.threads()} threads, ${options.batch} pairs on each`)
  console.log(`${(elements / 1e6).toFixed(1)} million gradients`)
  for (const mode of modes) console.log(`${mode}: ${median(times[mode]).toFixed(0)} ms`)
}

function trainer(group: ProcessGroup): { step(mode: Mode): void; elements: number } {
  const name = options.variant as keyof typeof variants
  if (!Object.hasOwn(variants, name)) throw new UserError(`there is no variant "${name}"`)
  const { model: config } = variants[name]
  const model = new Clip(config)
  initialize(model, 0)
  const interpreter = new TorchInterpreter(model, { training: true })
  const parameters = [...interpreter.trainable().values()]
  const reducer = group.overlapGradients(parameters)
  const random = new Random(group.rank)
  const pairs = Number(options.batch)
  const images = Float32Array.from({ length: pairs * 3 * config.imageSize ** 2 }, () => random.uniform())
  const tokens = new BigInt64Array(pairs * config.text.contextLength).fill(0n)
  for (let n = 0; n < pairs; n++)
    tokens.set([49406n, BigInt(1 + random.int(49000)), 49407n], n * config.text.contextLength)
  const loss = () => {
    const pixels = interpreter.images(images, [pairs, 3, config.imageSize, config.imageSize])
    const ids = interpreter.tokens(tokens, [pairs, config.text.contextLength])
    const [image, text] = [model.encodeImage(pixels), model.encodeText(ids)].map((features) =>
      group.gatherWithGradient(l2Normalize(interpreter.unwrap(features))),
    ) as [torch.Tensor, torch.Tensor]
    const side = (all: torch.Tensor) => ({ rows: all, all })
    return contrastiveLoss({ image: side(image), text: side(text) }, interpreter.value(model.logitScale).exp())
  }
  return {
    step: (mode) => torch.scope(() => backward(mode, parameters, reducer, loss)),
    elements: parameters.reduce((sum, parameter) => sum + parameter.numel, 0),
  }
}

function backward(mode: Mode, parameters: readonly torch.Tensor[], reducer: GradientReducer, loss: () => torch.Tensor) {
  for (const parameter of parameters) parameter.grad = null
  const value = torch.scope(loss)
  if (mode === "averaged during") reducer.arm()
  value.backward()
  if (mode === "averaged after") reducer.arm()
  if (mode !== "not averaged") reducer.finish()
}

await main()
