import * as ort from "onnxruntime-node"
import { describe, expect, test } from "vitest"
import { relativeError } from "../../test/checks/models.ts"
import { tinyConfig } from "../../test/tiny-model.ts"
import { fill, inputImage } from "../core/arrays/fill.ts"
import { type VariantName, variants } from "../core/family/variants.ts"
import { towers } from "../core/inference/manifest.ts"
import { type TowerName, traceTower } from "../export/towers.ts"
import { Clip } from "./clip.ts"
import { fold, reparameterize } from "./reparameterize.ts"

const { image, text } = tinyConfig
const configs = {
  "batch norm before attention, causal text": tinyConfig,
  "layer norm before attention, MCt": {
    ...tinyConfig,
    image: { ...image, attentionNorm: "layer" },
    text: { ...text, kind: "mct", causal: false },
  },
} as const

/** By the golden fill rule, with our own names in the spelling the rule knows. */
function filled(config: (typeof configs)[keyof typeof configs]): Clip {
  const model = new Clip(config)
  for (const [path, parameter] of model.namedParameters()) {
    const { values } = fill(
      path.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      parameter.shape,
    )
    parameter.source = () => values
  }
  return model
}

async function embed(model: Clip, tower: TowerName): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(
    Buffer.concat([...traceTower(tower, model, towers[tower]).chunks()]),
    {
      graphOptimizationLevel: "disabled",
    },
  )
  const ids = new BigInt64Array(2 * 77)
  ids.set([49406n, 320n, 1125n, 49407n])
  ids.set([49406n, 539n, 320n, 2368n, 525n, 49407n], 77)
  const inputs = {
    image: new ort.Tensor("float32", inputImage(64), [2, 3, 64, 64]),
    text: new ort.Tensor("int64", ids, [2, 77]),
  }
  const results = await session.run({ [towers[tower].input]: inputs[tower] })
  return results[towers[tower].output]!.data as Float32Array
}

describe.each(Object.entries(configs))("%s", (_, config) => {
  test.each(["image", "text"] as const)("the %s tower folded gives what it gave", async (tower) => {
    const fused = reparameterize(filled(config))
    const [before, after] = [await embed(fused, tower), await embed(fold(fused), tower)]
    expect(relativeError(after, Array.from(before))).toBeLessThan(1e-5)
  })
})

/** What the nodes of a tower are called and what they take; the values of weights come after it and are not read. */
function graphOf(model: Clip, tower: TowerName): string {
  const [head, graph] = traceTower(tower, model, towers[tower]).chunks()
  return Buffer.concat([head!, graph!]).toString("latin1")
}

const withNorms = (Object.keys(variants) as VariantName[]).filter((name) => variants[name].model.image.kind !== "vit")

test.each(withNorms)("%s keeps no batch norm and no layer scale", (name) => {
  const fused = reparameterize(new Clip(variants[name].model))
  expect(graphOf(fused, "image")).toContain("BatchNormalization")
  for (const tower of ["image", "text"] as const) {
    expect(graphOf(fold(fused), tower)).not.toMatch(/BatchNormalization|layerScale/)
  }
})
