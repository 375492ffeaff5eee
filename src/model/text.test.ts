/** The one row that the last block computes against the whole block, in float64: values and gradients. */
import { expect, test } from "vitest"
import * as torch from "../../torch/index.ts"
import type { TextTowerConfig } from "../core/family/variants.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { segmentsOf } from "./layers.ts"
import { initialize } from "./module.ts"
import { TextTower } from "./text.ts"

const config = { width: 16, heads: 2, layers: 2, activation: "gelu", contextLength: 8, vocabSize: 10 } as const

/** 9 is EOT; one text has two, one has a token after it, and one fills the context. */
const texts = [
  [8, 1, 9, 0, 0, 0, 0, 0],
  [8, 3, 9, 2, 9, 0, 0, 0],
  [8, 2, 4, 9, 7, 0, 0, 0],
  [8, 1, 2, 3, 4, 5, 6, 9],
]

/** Every row through every block, and then the rows of the first EOTs. */
function plain(tower: TextTower, ids: Tensor): Tensor {
  const embedded = ids.embedding(tower.tokenEmbedding).addPositions(tower.positionalEmbedding)
  const rows = segmentsOf(tower.blocks).reduce((x, block) => block(x), embedded)
  return tower.finalNorm.forward(rows.rowAt(ids.firstEot())).matmul(tower.projection)
}

test.each([
  ["base", true],
  ["base", false],
  ["mct", false],
] as const)("%s, causal %s: only the rows that count change nothing", (kind, causal) => {
  const tower = new TextTower({ ...config, kind, causal } satisfies TextTowerConfig, 6)
  initialize(tower, 1)
  const interpreter = new TorchInterpreter(tower, { dtype: "float64", training: true })
  const [expected, found] = [plain, (one: TextTower, ids: Tensor) => one.forward(ids)].map((forward) =>
    measure(interpreter, (ids) => forward(tower, ids)),
  )
  expect([...found!.keys()]).toEqual([...expected!.keys()])
  // Only the order of sums differs.
  for (const [name, values] of expected!) expect(largestDifference(found!.get(name)!, values), name).toBeLessThan(1e-13)
})

/** Features, and the gradients of a weighted sum of them. */
function measure(interpreter: TorchInterpreter, forward: (ids: Tensor) => Tensor): Map<string, Float64Array> {
  return torch.scope(() => {
    const ids = interpreter.tokens(BigInt64Array.from(texts.flat(), BigInt), [texts.length, 8])
    const features = interpreter.unwrap(forward(ids))
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

function valuesOf(tensor: torch.Tensor): Float64Array {
  return torch.noGrad(() => Float64Array.from(tensor.detach().data() as Float64Array))
}

function largestDifference(a: Float64Array, b: Float64Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)
}
