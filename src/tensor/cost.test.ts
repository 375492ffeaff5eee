import { describe, expect, test } from "vitest"
import { operationCases } from "../../test/conformance/operations.ts"
import { noise, parameter } from "../../test/conformance/reference.ts"
import { measureCost } from "./cost.ts"
import type { Tensor } from "./tensor.ts"

const named = (arrays: Record<string, number[]>) =>
  new Map(Object.entries(arrays).map(([path, shape]) => [path, parameter(noise(path, ...shape))]))

test.each(operationCases(3))("$name has the shape of its definition", ({ inputs, parameters, run, expected }) => {
  let result: Tensor | null = null
  measureCost(
    parameters,
    inputs.map(({ array }) => array.shape),
    (...tensors) => {
      result = run(...tensors)
    },
  )
  expect(result!).toHaveProperty("shape", [...expected.shape])
})

describe("measureCost", () => {
  test("counts a convolution", () => {
    const parameters = named({ "stem.conv.weight": [8, 3, 3, 3], "stem.conv.bias": [8] })
    const [weight, bias] = [...parameters.values()]
    const cost = measureCost(parameters, [[2, 3, 16, 16]], (x) =>
      x!.conv2d(weight!, bias!, { stride: 2, padding: [1, 1], groups: 1 }).gelu(),
    )
    const outputs = 2 * 8 * 8 * 8
    expect(cost.layers).toEqual([
      {
        path: "stem.conv",
        operations: ["conv2d", "gelu"],
        shape: [2, 8, 8, 8],
        convolution: { kernel: [3, 3], stride: 2, groups: 1 },
        parameters: 8 * 27 + 8,
        multiplyAdds: outputs * 27,
        attentionMultiplyAdds: 0,
        activationBytes: 2 * outputs * 4,
      },
    ])
  })

  test("counts attention apart, with its scores and weights", () => {
    const cost = measureCost(new Map(), [[1, 10, 6]], (x) => x!.attention(x!, x!, { heads: 2, causal: false }))
    expect(cost.multiplyAdds).toBe(0)
    expect(cost.attentionMultiplyAdds).toBe(2 * 10 * 10 * 6)
    expect(cost.activationBytes).toBe((2 * 2 * 100 + 60) * 4)
  })

  test("counts a shared parameter once, its use every time", () => {
    const parameters = named({ "head.weight": [4, 4] })
    const weight = [...parameters.values()][0]!
    const cost = measureCost(parameters, [[1, 4]], (x) => x!.linear(weight, null).linear(weight, null))
    expect(cost).toMatchObject({ parameters: 16, multiplyAdds: 32 })
  })

  test("a shape that does not fit names the layer, what was expected and what was found", () => {
    const parameters = named({ "stages.0.fc1.weight": [4, 3, 1, 1] })
    const weight = [...parameters.values()][0]!
    const forward = (x?: Tensor) => x!.conv2d(weight, null, { stride: 1, padding: [0, 0], groups: 1 })
    expect(() => measureCost(parameters, [[1, 5, 8, 8]], forward)).toThrow(
      "conv2d at stages.0.fc1: expected [N, 3, H, W], found [1, 5, 8, 8]",
    )
  })
})
