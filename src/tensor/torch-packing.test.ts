/** Groups of texts, and a causal tower over packed texts against the same tower over whole rows, in float64. */
import { expect, test } from "vitest"
import * as torch from "../../torch/index.ts"
import { Random } from "../core/arrays/random.ts"
import { initialize } from "../model/module.ts"
import { TextTower } from "../model/text.ts"
import { TorchInterpreter, type TorchTensor } from "./torch.ts"
import { lengthsOf, packingOf } from "./torch-packing.ts"

const contextLength = 77
const config = { kind: "base", width: 16, heads: 2, layers: 3, causal: true, activation: "gelu" } as const
const tower = new TextTower({ ...config, contextLength, vocabSize: 50 }, 6)
initialize(tower, 1)

/** Rows of `contextLength` ids whose first largest one, 49, ends a text of so many tokens; one more of it may follow. */
function texts(lengths: readonly number[]): BigInt64Array {
  const random = Random.of(1, "texts")
  const rows = lengths.flatMap((length, n) =>
    Array.from({ length: contextLength }, (_, i) => {
      if (i === length - 1 || (i === length && n % 3 === 0)) return 49
      return i < length || n % 4 === 0 ? 1 + random.int(48) : 0
    }),
  )
  return BigInt64Array.from(rows, BigInt)
}

function tokensOf(lengths: readonly number[]): number | undefined {
  const packing = packingOf(lengths)
  const ids = torch.tensor(texts(lengths), [lengths.length, contextLength])
  return packing?.pack(ids).shape[1]
}

const random = Random.of(2, "lengths")
const mixed = Array.from({ length: 40 }, () => 4 + Math.floor(74 * random.uniform() ** 2))

test("lengths end with the first end of text", () => {
  expect(lengthsOf(texts(mixed), contextLength)).toEqual(mixed)
})

test.each([
  ["texts of one length", Array(50).fill(20), undefined],
  ["few texts", [5, 9, 12, 20], undefined],
  ["two lengths", [...Array(10).fill(30), ...Array(10).fill(10)], 10 * 30 + 10 * 10],
  ["too little to gain", [...Array(500).fill(20), ...Array(80).fill(19)], undefined],
  ["one text that is long", [...Array(31).fill(10), 77], 31 * 10 + 77],
])("%s: as few tokens as groups that pay have", (_, lengths, tokens) => {
  expect(tokensOf(lengths)).toBe(tokens)
})

test("mixed lengths leave a third of the padding at most, in few groups", () => {
  const [whole, needed] = [Math.max(...mixed) * mixed.length, mixed.reduce((sum, length) => sum + length)]
  expect((tokensOf(mixed)! - needed) / (whole - needed)).toBeLessThan(1 / 3)
})

test("packed texts have the features and the gradients of whole rows", () => {
  const interpreter = new TorchInterpreter(tower, { dtype: "float64", training: true })
  const measure = (tokens: (ids: TorchTensor) => TorchTensor) => torch.scope(() => measureTower(interpreter, tokens))
  const packed = measure((ids) => ids)
  // Lengths that the host does not know leave all rows as long as the longest.
  const whole = measure((ids) => interpreter.wrap(ids.value))
  for (const [path, values] of whole) {
    // Only the order of sums differs.
    const difference = values.reduce((most, value, i) => Math.max(most, Math.abs(value - packed.get(path)![i]!)), 0)
    expect(difference, path).toBeLessThan(1e-12)
  }
  expect(measure((ids) => ids)).toEqual(packed)
})

function measureTower(
  interpreter: TorchInterpreter,
  tokens: (ids: TorchTensor) => TorchTensor,
): Map<string, Float64Array> {
  const ids = tokens(interpreter.tokens(texts(mixed), [mixed.length, contextLength]))
  const features = interpreter.unwrap(tower.forward(ids))
  const weights = torch.tensor(
    new Float64Array(mixed.length * 6).map((_, i) => Math.sin(i)),
    features.shape,
  )
  features.backward(weights)
  const results = new Map([["features", features]])
  for (const [path, parameter] of interpreter.trainable()) {
    results.set(path, parameter.grad!)
    parameter.grad = null
  }
  return new Map([...results].map(([path, tensor]) => [path, valuesOf(tensor)]))
}

function valuesOf(tensor: torch.Tensor): Float64Array {
  return torch.noGrad(() => Float64Array.from(tensor.detach().data() as Float64Array))
}
