import { describe, expect, test } from "vitest"
import * as torch from "../../torch/index.ts"
import { Random } from "../core/random.ts"
import type { CocaConfig } from "../core/variants.ts"
import { Coca } from "../model/coca.ts"
import { initialize } from "../model/module.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { captionLoss } from "./caption-loss.ts"
import { type CaptionerTrainee, captionerGradients, cocaOutputs, labelled, trainCaptionerStep } from "./coca-step.ts"
import { AdamW } from "./optimizer.ts"
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

describe("a captioner's step", () => {
  test("equals the plain definition, logits of all positions with padding ignored", () => {
    const { model, interpreter } = trainee()
    const { images, tokens } = batch()
    const outputs = cocaOutputs(model, interpreter, { images, tokens })
    const ids = interpreter.tokens(tokens, [6, 12])
    const image = model.image.forward(interpreter.images(images, [6, 3, 32, 32]))
    const logits = interpreter.unwrap(model.logits(ids, image.tokens)).narrow(1, 0, 11)
    const labels = interpreter.unwrap(ids).narrow(1, 1, 11)
    const found = captionLoss(outputs.logits, outputs.labels, 0).item()
    expect(found).toBeCloseTo(captionLoss(logits, labels, 0).item(), 10)
    expect(values(outputs.text)).toEqual(values(unit(interpreter.unwrap(model.encodeText(ids)))))
    expect(values(outputs.image)).toEqual(values(unit(interpreter.unwrap(image.embedding))))
  })

  test("gives every parameter a gradient, and with all words as candidates the same one", () => {
    const [full, sampled] = [trainee(), trainee()]
    const exact = captionerGradients(full, batch())
    const estimate = captionerGradients(sampled, batch(), { negatives: 64 })
    expect(estimate.loss).toBeCloseTo(exact.loss, 10)
    for (const [path, parameter] of full.interpreter.trainable()) {
      const [a, b] = [values(parameter.grad!), values(sampled.interpreter.trainable().get(path)!.grad!)]
      expect(Math.max(...a.map((x, i) => Math.abs(x - b[i]!))), path).toBeLessThan(1e-12)
      expect(
        a.some((x) => x !== 0),
        path,
      ).toBe(true)
    }
  })

  test("adds up the losses by their weights", () => {
    const { contrastive, caption, loss } = captionerGradients(trainee(), batch(), {
      weights: { contrastive: 0.5, caption: 3 },
    })
    const plain = captionerGradients(trainee(), batch(), { weights: { contrastive: 1, caption: 1 } })
    expect(contrastive).toBeCloseTo(plain.contrastive / 2, 10)
    expect(caption).toBeCloseTo(plain.caption * 3, 10)
    expect(loss).toBeCloseTo(contrastive + caption, 10)
  })

  test("learns one batch by heart", () => {
    const learner = trainee()
    const [first, ...later] = Array.from({ length: 80 }, () =>
      trainCaptionerStep(learner, batch(), { learningRate: 1e-2, gradClipNorm: 1 }),
    )
    expect(first!.caption).toBeGreaterThan(6)
    expect(later.at(-1)!.caption).toBeLessThan(0.4)
    expect(later.at(-1)!.contrastive).toBeLessThan(first!.contrastive)
  })

  test("keeps no tensor", () => {
    const learner = trainee()
    trainCaptionerStep(learner, batch(), { learningRate: 1e-3, gradClipNorm: 1 })
    const before = torch.memory().liveTensors
    trainCaptionerStep(learner, batch(), { learningRate: 1e-3, gradClipNorm: 1, negatives: 16 })
    expect(torch.memory().liveTensors).toBe(before)
  })

  test("a loss that is not finite changes nothing", () => {
    const learner = trainee()
    const before = values(learner.interpreter.value(learner.model.decoder.projection))
    const broken = { ...batch(), images: new Float32Array(6 * 3 * 32 * 32).fill(Number.NaN) }
    expect(() => trainCaptionerStep(learner, broken, { learningRate: 1, gradClipNorm: 1 })).toThrow("the loss is NaN")
    expect(values(learner.interpreter.value(learner.model.decoder.projection))).toEqual(before)
  })
})

test("labels are what follows each token, without padding", () => {
  const { rows, labels, length } = labelled(BigInt64Array.of(1n, 5n, 9n, 0n, 1n, 9n, 0n, 0n), 4)
  expect([...labels]).toEqual([5n, 9n, 9n])
  expect([...rows]).toEqual([0n, 1n, 2n])
  expect(length).toBe(2)
})

function trainee(): CaptionerTrainee {
  const model = new Coca(config)
  initialize(model, 4)
  const interpreter = new TorchInterpreter(model, { training: true, dtype: "float64" })
  return { model, interpreter, optimizer: new AdamW(interpreter.trainable(), defaultTrainConfig) }
}

/** 6 pairs of captions of 3 to 8 tokens. */
function batch(imageSize = 32) {
  const random = Random.of(5, "batch")
  const images = Float32Array.from({ length: 6 * 3 * imageSize ** 2 }, () => random.uniform())
  const tokens = new BigInt64Array(6 * 12)
  for (let n = 0; n < 6; n++) {
    tokens[n * 12] = 62n
    for (let i = 1; i < 3 + n; i++) tokens[n * 12 + i] = BigInt(1 + random.int(60))
    tokens[n * 12 + 3 + n] = 63n
  }
  return { images, tokens }
}

function unit(features: torch.Tensor): torch.Tensor {
  return features.div(features.norm([-1], true))
}

function values(tensor: torch.Tensor): number[] {
  return [...(tensor.detach().data() as Float64Array)]
}

test("FastViT's gradients are right where its last feature map is small", () => {
  const stage = { depth: 1, mlpRatio: 2, mixer: "repmixer" } as const
  const image = {
    kind: "fastvit",
    attentionNorm: "batch",
    stemScaleBranch: false,
    stages: [
      { ...stage, dim: 32 },
      { ...stage, dim: 64 },
      { ...stage, dim: 128, se: true },
    ],
  } as const
  const gradients = (["float32", "float64"] as const).map((dtype) => {
    const model = new Coca({ ...config, imageSize: 40, image })
    initialize(model, 4)
    const interpreter = new TorchInterpreter(model, { training: true, dtype })
    const optimizer = new AdamW(interpreter.trainable(), defaultTrainConfig)
    dirtyMemory()
    captionerGradients({ model, interpreter, optimizer }, batch(40))
    return [...interpreter.trainable()].map(
      ([path, { grad }]) => [path, torch.scope(() => grad!.norm().item())] as const,
    )
  })
  const largest = Math.max(...gradients[1]!.map(([, norm]) => norm))
  for (const [i, [path, norm]] of gradients[0]!.entries()) {
    expect(Math.abs(norm - gradients[1]![i]![1]) / largest, path).toBeLessThan(1e-3)
  }
})

/** Freed memory with large numbers in it, for whoever reads what was never written. */
function dirtyMemory(): void {
  for (const size of [8, 64, 512]) for (let i = 0; i < 20; i++) torch.scope(() => void torch.full([size * 1000], 1e30))
}
