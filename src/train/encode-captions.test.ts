import { describe, expect, test } from "vitest"
import * as torch from "../../torch/index.ts"
import { Random } from "../core/arrays/random.ts"
import type { CocaConfig } from "../core/family/variants.ts"
import type { Batch } from "../data/training/batch.ts"
import { Coca } from "../model/coca.ts"
import { initialize } from "../model/module.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { captionLoss } from "./caption-loss.ts"
import { unitRows } from "./encode.ts"
import { captionEncoder, countLabels } from "./encode-captions.ts"
import { AdamW } from "./optimizer/adamw.ts"
import { computeGradients, type Trainer, trainStep } from "./step.ts"
import { defaultTrainConfig } from "./train.ts"

const config: CocaConfig = {
  embedDim: 32,
  imageSize: 32,
  image: { kind: "vit", width: 32, layers: 1, heads: 2, patchSize: 16, activation: "gelu" },
  pooler: { queries: 5, heads: 2 },
  text: {
    kind: "base",
    width: 32,
    heads: 2,
    layers: 1,
    causal: true,
    activation: "gelu",
    contextLength: 12,
    vocabSize: 64,
  },
  decoder: { layers: 1, heads: 2 },
}

const objective = { kind: "coca", clipWeight: 1, captionWeight: 2 } as const

describe("a captioner's part of a step", () => {
  test("equals the plain definition, logits of all positions with padding ignored", () => {
    const { model, interpreter } = trainer()
    const { images, tokens } = batch()
    const encoder = captionEncoder(model, interpreter, { captionWeight: 3, labels: countLabels(tokens, 12) })
    const { features, backward } = encoder({ images, tokens }).encode()
    const loss = backward({ image: features.image!.mul(0).detach(), text: features.text!.mul(0).detach() }, 1)
    const ids = interpreter.tokens(tokens, [6, 12])
    const image = model.image.forward(interpreter.images(images, [6, 3, 32, 32]))
    const logits = interpreter.unwrap(model.logits(ids, image.tokens)).narrow(1, 0, 11)
    const labels = interpreter.unwrap(ids).narrow(1, 1, 11)
    expect(loss).toBeCloseTo(3 * captionLoss(logits, labels, 0).item(), 10)
  })

  test.each([
    ["short captions", 5],
    ["one caption of the whole context", 12],
    ["one that leaves a single column", 11],
  ])("leaves padding out that no text sees: %s", (_, longest) => {
    const [{ model, interpreter }, other] = [trainer(), trainer()]
    const { images, tokens } = batch([4, longest, 3])
    const encoder = captionEncoder(model, interpreter, { captionWeight: 0, labels: countLabels(tokens, 12) })
    const { features, backward } = encoder({ images, tokens }).encode()
    const first = encoder({ images, tokens }).features()
    const ids = other.interpreter.tokens(tokens, [3, 12])
    const pictures = other.interpreter.images(images, [3, 3, 32, 32])
    const [text, image] = [other.model.encodeText(ids), other.model.encodeImage(pictures)].map((x) =>
      unitRows(other.interpreter, other.interpreter.unwrap(x)),
    ) as [torch.Tensor, torch.Tensor]
    expect(apart(features.text!, text)).toBeLessThan(1e-13)
    expect(values(first.text!)).toEqual(values(features.text!))
    const gradient = torch.randn([3, 32]).to({ dtype: "float64" })
    backward({ image: gradient, text: gradient }, 1)
    text.add(image).mul(gradient).sum().backward()
    for (const [path, parameter] of other.interpreter.trainable()) {
      const own = interpreter.trainable().get(path)!.grad
      if (parameter.grad) expect(apart(own!, parameter.grad), path).toBeLessThan(1e-12)
    }
  })

  test("gives every parameter a gradient, and with all words as candidates the same one", () => {
    const [full, sampled] = [trainer(), trainer()]
    const exact = computeGradients(full, batch(), { objective })
    const estimate = computeGradients(sampled, batch(), { objective: { ...objective, sampledWords: 64 } })
    expect(estimate.loss).toBeCloseTo(exact.loss, 10)
    for (const [path, parameter] of full.interpreter.trainable()) {
      const [a, b] = [values(parameter.grad!), values(sampled.interpreter.trainable().get(path)!.grad!)]
      expect(Math.max(...a.map((x, i) => Math.abs(x - b[i]!))), path).toBeLessThan(1e-12)
      expect(Math.max(...a.map(Math.abs)), path).toBeGreaterThan(0)
    }
  })

  test("learns to write the captions of one batch", () => {
    const captioner = trainer()
    const steps = Array.from({ length: 60 }, () =>
      trainStep(captioner, batch(), { ...defaultTrainConfig, objective, learningRate: 1e-2 }),
    )
    expect(steps[0]!.losses.caption).toBeGreaterThan(2 * 3)
    expect(steps.at(-1)!.losses.caption).toBeLessThan(2 * 0.3)
  })

  test("counts a label for every token but the first", () => {
    expect(countLabels(BigInt64Array.of(62n, 5n, 63n, 0n, 62n, 63n, 0n, 0n), 4)).toBe(3)
  })
})

function trainer(): Trainer<Coca> {
  torch.setThreads(1)
  const model = new Coca(config)
  initialize(model, 1)
  const interpreter = new TorchInterpreter(model, { training: true, dtype: "float64" })
  return { model, interpreter, optimizer: new AdamW(interpreter.trainable(), defaultTrainConfig) }
}

/** Pairs with captions of so many tokens, a start and an end among them; without lengths, 6 pairs of 5 to 11. */
function batch(lengths?: readonly number[]): Batch {
  const random = Random.of(5, "captions")
  const pairs = lengths?.length ?? 6
  const tokens = new BigInt64Array(pairs * 12)
  for (let n = 0; n < pairs; n++) {
    const words = Array.from({ length: lengths ? lengths[n]! - 2 : 3 + random.int(7) }, () =>
      BigInt(1 + random.int(60)),
    )
    tokens.set([62n, ...words, 63n], n * 12)
  }
  return { images: Float32Array.from({ length: pairs * 3 * 32 * 32 }, () => random.uniform()), tokens }
}

function apart(a: torch.Tensor, b: torch.Tensor): number {
  const [x, y] = [values(a), values(b)]
  return Math.max(...x.map((value, i) => Math.abs(value - y[i]!)))
}

function values(tensor: torch.Tensor): number[] {
  return Array.from(torch.noGrad(() => tensor.detach().data()) as Float64Array)
}
