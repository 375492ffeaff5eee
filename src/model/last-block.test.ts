/** The one row that a tower's last block computes against the whole block, in float64: values and gradients. */
import { expect, test } from "vitest"
import * as torch from "../../torch/index.ts"
import type { TextTowerConfig } from "../core/family/variants.ts"
import { measureCost } from "../tensor/cost.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { initialize, type Module, withFields } from "./module.ts"
import { TextTower } from "./text.ts"
import type { RowChoice, TransformerBlock } from "./transformer.ts"
import { ConvStemVit, Vit } from "./vit.ts"

type Tower = Module & { readonly blocks: readonly Pick<TransformerBlock, "forward" | "forwardRow">[] } & {
  forward(x: Tensor): Tensor
}

const text = { width: 16, heads: 2, layers: 2, activation: "gelu", contextLength: 8, vocabSize: 10 } as const
const image = { width: 16, heads: 2, layers: 2, activation: "gelu" } as const
const towers: Readonly<Record<string, Tower>> = {
  "text, causal": new TextTower({ ...text, kind: "base", causal: true } satisfies TextTowerConfig, 6),
  text: new TextTower({ ...text, kind: "base", causal: false } satisfies TextTowerConfig, 6),
  "text, mct": new TextTower({ ...text, kind: "mct", causal: false } satisfies TextTowerConfig, 6),
  vit: new Vit({ ...image, kind: "vit", patchSize: 16 }, 32, 6, false),
  "vit of timm": new Vit({ ...image, kind: "vit", patchSize: 16 }, 32, 6, true),
  "vit with a convolutional stem": new ConvStemVit(
    { ...image, kind: "vit-conv-stem", stemWidth: 4, stemPadding: 0, normEps: 1e-6 },
    32,
    6,
    true,
  ),
}

/** 9 is EOT; one text has two, one has a token after it, and one fills the context. */
const texts = [
  [8, 1, 9, 0, 0, 0, 0, 0],
  [8, 3, 9, 2, 9, 0, 0, 0],
  [8, 2, 4, 9, 7, 0, 0, 0],
  [8, 1, 2, 3, 4, 5, 6, 9],
]

test.each(Object.keys(towers))("%s: only the row that counts changes nothing", (name) => {
  const tower = towers[name]!
  initialize(tower, 1)
  // Scales of residuals begin so small that nothing of the perceptron would be seen.
  for (const [path, parameter] of tower.namedParameters())
    if (path.endsWith("layerScale")) parameter.source = () => new Float32Array(parameter.size).map((_, i) => 1 + i / 16)
  const interpreter = new TorchInterpreter(tower, { dtype: "float64", training: true })
  const [expected, found] = [withWholeLastBlock(tower), tower].map((one) => measure(interpreter, one))
  expect([...found!.keys()]).toEqual([...expected!.keys()])
  // Only the order of sums differs.
  for (const [path, values] of expected!) expect(largestDifference(found!.get(path)!, values), path).toBeLessThan(1e-13)
})

test.each(Object.keys(towers))("%s: the other rows' projection and perceptron are saved, and nothing else", (name) => {
  const tower = towers[name]!
  const [whole, found] = [withWholeLastBlock(tower), tower].map(multiplyAdds)
  const rows = tower instanceof TextTower ? 8 : 5
  const weights = (name.endsWith("mct") ? 8 : 9) * 16 ** 2
  expect(whole! - found!).toBe((rows - 1) * weights)
})

function multiplyAdds(tower: Tower): number {
  const shape = tower instanceof TextTower ? [1, 8] : [1, 3, 32, 32]
  return measureCost(tower.namedParameters(), [shape], (x) => tower.forward(x!)).multiplyAdds
}

/** The same weights; every row goes through the last block before one is taken, and a causal block hides by itself. */
function withWholeLastBlock<T extends Tower>(tower: T): T {
  const last = tower.blocks.at(-1)! as TransformerBlock
  const forwardRow = (x: Tensor, row: RowChoice) => row(last.forward(x))
  return withFields(tower, { blocks: [...tower.blocks.slice(0, -1), withFields(last, { forwardRow })] })
}

/** Features, and the gradients of a weighted sum of them. */
function measure(interpreter: TorchInterpreter, tower: Tower): Map<string, Float64Array> {
  return torch.scope(() => {
    const features = interpreter.unwrap(tower.forward(inputOf(interpreter, tower)))
    const weights = torch.tensor(
      new Float64Array(features.shape[0]! * 6).map((_, i) => Math.sin(i)),
      features.shape,
    )
    features.backward(weights)
    const results = new Map([["features", valuesOf(features)]])
    for (const [path, parameter] of interpreter.trainable()) {
      results.set(path, valuesOf(parameter.grad!))
      parameter.grad = null
    }
    return results
  })
}

function inputOf(interpreter: TorchInterpreter, tower: Tower): Tensor {
  if (tower instanceof TextTower) return interpreter.tokens(BigInt64Array.from(texts.flat(), BigInt), [texts.length, 8])
  const pixels = new Float32Array(3 * 3 * 32 * 32).map((_, i) => Math.sin(i * i))
  return interpreter.images(pixels, [3, 3, 32, 32])
}

function valuesOf(tensor: torch.Tensor): Float64Array {
  return torch.noGrad(() => Float64Array.from(tensor.detach().data() as Float64Array))
}

function largestDifference(a: Float64Array, b: Float64Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)
}
