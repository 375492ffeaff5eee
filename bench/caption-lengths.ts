/**
 * What packing texts of several lengths is worth in a training step with a causal text tower: steps with packed texts and with
 * whole rows, cut at the batch's longest text, in turns. Milliseconds of the processor, medians; weights and pictures are noise.
 *
 *     npm run build && node dist/bench/caption-lengths.js [--model mobileclip2-b] [--batch 8] [--captions spread] [--rounds 5]
 *         [--text-only] [--threads 1]
 *
 * `--captions`: `web` and `precise` are the quickstart's; `spread` has 4 + 74 u^2 tokens, u uniform in 0..1 (mean 28, median
 * 22, up to 77). `--text-only` leaves the image tower and the update out.
 */
import { parseArgs } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"
import { Random } from "../src/core/arrays/random.ts"
import { type ClipConfig, type VariantName, variants } from "../src/core/family/variants.ts"
import { Tokenizer } from "../src/core/text/tokenizer.ts"
import { captionsOf } from "../src/data/scenes/captions.ts"
import { sampleScene } from "../src/data/scenes/scene.ts"
import type { Batch } from "../src/data/training/batch.ts"
import { infoOf, type QuickstartModelName } from "../src/experiments/quickstart/models.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize } from "../src/model/module.ts"
import { TorchInterpreter, type TorchTensor } from "../src/tensor/torch.ts"
import { lengthsOf } from "../src/tensor/torch-packing.ts"
import { AdamW } from "../src/train/optimizer/adamw.ts"
import { computeGradients, updateParameters } from "../src/train/step.ts"
import { defaultTrainConfig } from "../src/train/train.ts"
import * as torch from "../torch/index.ts"

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "mobileclip2-b" },
    batch: { type: "string", default: "8" },
    captions: { type: "string", default: "spread" },
    rounds: { type: "string", default: "5" },
    "text-only": { type: "boolean", default: false },
    threads: { type: "string", default: "1" },
  },
})
const config = configOf(options.model)
const { contextLength } = config.text
const pairs = Number(options.batch)

/** Lengths that the host does not know: texts are not packed. */
class WholeRows extends TorchInterpreter {
  override tokens(ids: BigInt64Array, shape: readonly number[]): TorchTensor {
    return this.wrap(super.tokens(ids, shape).value)
  }
}

function configOf(name: string): ClipConfig {
  const isOfQuickstart = name.startsWith("quickstart-")
  const found = isOfQuickstart ? infoOf(name as QuickstartModelName).config : variants[name as VariantName].model
  return found as ClipConfig
}

function captions(random: Random): BigInt64Array {
  if (options.captions === "spread") return spread(random)
  const texts = Array.from({ length: pairs }, (_, i) => {
    const { caption, webCaption } = captionsOf(sampleScene(0, "train", i))
    return options.captions === "web" ? webCaption : caption
  })
  return new Tokenizer().encodeBatch(texts, contextLength).ids
}

function spread(random: Random): BigInt64Array {
  const ids = new BigInt64Array(pairs * contextLength)
  for (let n = 0; n < pairs; n++) {
    const words = Array.from({ length: 2 + Math.floor(74 * random.uniform() ** 2) }, () => 1 + random.int(49000))
    ids.set([49406, ...words, 49407].map(BigInt), n * contextLength)
  }
  return ids
}

function stepOf(interpreter: TorchInterpreter, model: Clip, batch: Batch): () => void {
  if (options["text-only"]) {
    return () =>
      torch.scope(() => {
        const ids = interpreter.tokens(batch.tokens, [pairs, contextLength])
        interpreter.unwrap(model.encodeText(ids)).sum().backward()
        for (const parameter of interpreter.trainable().values()) parameter.grad = null
      })
  }
  const trainer = { model, interpreter, optimizer: new AdamW(interpreter.trainable(), defaultTrainConfig) }
  return () => {
    computeGradients(trainer, batch, { objective: { kind: "clip" } })
    updateParameters(trainer, defaultTrainConfig)
  }
}

function processorMs(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

function main(): void {
  torch.setThreads(Number(options.threads))
  const random = Random.of(1, "batch")
  const images = Float32Array.from({ length: pairs * 3 * config.imageSize ** 2 }, () => random.uniform())
  const batch = { images, tokens: captions(random) }
  const [whole, packed] = [WholeRows, TorchInterpreter].map((Interpreter) => {
    const model = new Clip(config)
    initialize(model, 0)
    return stepOf(new Interpreter(model, { training: true }), model, batch)
  }) as [() => void, () => void]
  for (const step of [whole, packed]) step()
  const times = Array.from({ length: Number(options.rounds) }, () => [processorMs(whole), processorMs(packed)] as const)
  const [before, after] = [0, 1].map((i) => median(times.map((pair) => pair[i]!)))
  const lengths = lengthsOf(batch.tokens, contextLength)
  const mean = lengths.reduce((sum, length) => sum + length) / pairs
  console.log(
    `${options.model}, ${pairs} ${options.captions} captions of ${mean.toFixed(1)} tokens, at most ${Math.max(...lengths)}: ${before!.toFixed(0)} ms whole, ${after!.toFixed(0)} packed, ${(before! / after!).toFixed(2)} times as fast`,
  )
}

main()
