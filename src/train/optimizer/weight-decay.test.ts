import { describe, expect, test } from "vitest"
import { tinyInfo, toyConfig } from "../../../test/tiny-model.ts"
import { Random } from "../../core/arrays/random.ts"
import { captioners, type VitConvStemConfig, variants } from "../../core/family/variants.ts"
import { buildModel } from "../../model/checkpoint/checkpoint.ts"
import { type KeyFlavour, type PublishedModel, publishedTensors } from "../../model/checkpoint/weights.ts"
import { Clip } from "../../model/clip.ts"
import { Coca } from "../../model/coca.ts"
import { initialize } from "../../model/module.ts"
import { defaultTrainConfig, train } from "../train.ts"
import { decayOf } from "./adamw.ts"

/** open_clip's, of its own names and shapes. */
function referenceDecays(key: string, shape: readonly number[]): boolean {
  return shape.length >= 2 && !["bn", "ln", "bias", "logit_scale"].some((part) => key.includes(part))
}

/** Every learned parameter as [path, whether ours is decayed, whether the reference's is]. */
function decays(model: PublishedModel, flavour: KeyFlavour) {
  const published = publishedTensors(model, flavour)
  const isDecayed = decayOf(model)
  const learned = [...model.namedParameters()].filter(([, { role }]) => role === "parameter")
  return learned.map(([path]) => {
    const { key, shape } = published.get(path)!
    return { path, ours: isDecayed(path), reference: referenceDecays(key, shape) }
  })
}

const members = [
  ...Object.entries(variants).map(([name, { model, keys }]) => [name, () => new Clip(model), keys] as const),
  ...Object.entries(captioners)
    .filter(([, { model }]) => model.image.kind === "vit")
    .map(([name, { model }]) => [name, () => new Coca(model), "coca"] as const),
]

describe("weight decay", () => {
  test.each(members)("%s: what open_clip decays, and nothing else", (_, build, flavour) => {
    const all = decays(build(), flavour)
    expect(all.filter(({ ours, reference }) => ours !== reference)).toEqual([])
    expect(new Set(all.map(({ ours }) => ours))).toEqual(new Set([true, false]))
  })

  test.each([
    ["mobileclip-b", true],
    ["mobileclip-blt", true],
    ["mobileclip2-b", true],
    ["mobileclip-l14", true],
    ["mobileclip2-l14", true],
    ["vit-b-16", false],
    ["vit-l-14", false],
    ["vit-l-14-quickgelu", false],
  ] as const)("the class token of %s is a matrix in timm alone: %s", (name, isDecayed) => {
    expect(decayOf(new Clip(variants[name].model))("image.classToken")).toBe(isDecayed)
  })

  test("a step of a run shrinks timm's class token, and no norm", async () => {
    const [without, decayed] = [await oneStep(0), await oneStep(0.5)]
    const lost = (path: string) => without.get(path)!.map((value, i) => value - decayed.get(path)![i]!)
    // Learning rate times decay times a value of 1; the two runs differ in nothing else.
    for (const value of lost("image.classToken")) expect(value).toBeCloseTo(1e-3 * 0.5, 6)
    for (const value of lost("image.norm.weight")) expect(value).toBe(0)
  })
})

const image: VitConvStemConfig = {
  ...{ kind: "vit-conv-stem", width: 16, layers: 1, heads: 2, stemWidth: 8, stemPadding: 0, normEps: 1e-6 },
}

async function oneStep(weightDecay: number) {
  const config = { ...toyConfig, image }
  const model = buildModel(config)
  initialize(model, 0)
  const start = new Map([...model.namedParameters()].map(([path, parameter]) => [path, parameter.read()]))
  start.set("image.classToken", new Float32Array(16).fill(1))
  const random = Random.of(0, "pairs")
  const images = Float32Array.from({ length: 4 * 3 * 32 * 32 }, () => random.uniform())
  const tokens = BigInt64Array.from({ length: 4 * 8 }, (_, i) => (i % 8 === 5 ? 63n : BigInt(1 + random.int(60))))
  const length = { steps: 1, warmupSteps: 0, batchSize: 4, threads: 1 }
  const { tensors } = await train(
    { ...tinyInfo, config },
    { ...defaultTrainConfig, ...length, weightDecay },
    { batches: () => [{ images, tokens }], save() {}, start },
  )
  return tensors
}
