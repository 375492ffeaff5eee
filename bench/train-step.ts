/**
 * Time of a training step of the quickstart model on random data: `node dist/bench/train-step.js [steps] [batch]`.
 * Prints median seconds per step, samples/s, and where the time goes.
 */

import { Random } from "../src/core/random.ts"
import { variants } from "../src/core/variants.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize } from "../src/model/module.ts"
import { TorchInterpreter } from "../src/tensor/torch.ts"
import { AdamW } from "../src/train/optimizer.ts"
import { computeGradients, updateParameters } from "../src/train/step.ts"
import * as torch from "../torch/index.ts"

const steps = Number(process.argv[2] ?? 20)
const batchSize = Number(process.argv[3] ?? 96)

const { model: config } = variants.quickstart
const model = new Clip(config)
initialize(model, 0)
const interpreter = new TorchInterpreter(model, { training: true })
const adamW = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.2 }
const trainee = { model, interpreter, optimizer: new AdamW(interpreter.trainable(), adamW) }
const batch = randomBatch()

const times = Array.from({ length: steps + 2 }, () => {
  const start = performance.now()
  computeGradients(trainee, batch)
  const middle = performance.now()
  updateParameters(trainee, { learningRate: 1e-3, gradClipNorm: 1 })
  return { gradients: middle - start, update: performance.now() - middle }
}).slice(2)

const gradients = median(times.map((time) => time.gradients))
const update = median(times.map((time) => time.update))
console.log(`libtorch ${torch.version()}, ${torch.threads()} threads, batch ${batchSize}, ${steps} steps`)
console.log(`median: ${gradients.toFixed(1)} ms forward and backward, ${update.toFixed(1)} ms update`)
console.log(`${((1000 * batchSize) / (gradients + update)).toFixed(0)} samples/s`)

/** Texts of 12 tokens, as short captions have. */
function randomBatch() {
  const random = new Random(1)
  const images = Float32Array.from({ length: batchSize * 3 * config.imageSize ** 2 }, () => random.uniform())
  const tokens = new BigInt64Array(batchSize * config.text.contextLength)
  for (let n = 0; n < batchSize; n++) {
    const ids = [49406, ...Array.from({ length: 10 }, () => 1 + random.int(49000)), 49407]
    tokens.set(ids.map(BigInt), n * config.text.contextLength)
  }
  return { images, tokens }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}
