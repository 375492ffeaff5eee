import { describe, expect, test } from "vitest"
import { reportsOf } from "../../../test/ranks.ts"
import * as torch from "../../../torch/index.ts"
import { syncBatchNorm } from "./sync-batch-norm.ts"

/** Six pictures of three channels whose mean is far from zero, for the ranks and for the one process. */
const setUp = `
  const values = (count, seed, offset) => Float64Array.from({ length: count }, (_, i) => offset + Math.sin((i + 1) * seed))
  const inputs = torch.tensor(values(6 * 3 * 4 * 5, 1.3, 8), [6, 3, 4, 5], { dtype })
  const factors = torch.tensor(values(6 * 3 * 4 * 5, 0.7, 0.5), [6, 3, 4, 5], { dtype })
  const vector = (seed, offset) => torch.tensor(values(3, seed, offset), [3], { dtype })
  const norm = { weight: vector(2, 1).requiresGrad_(), bias: vector(3, 0).requiresGrad_(), runningMean: vector(4, 0),
    runningVar: vector(5, 1), training: true, momentum: 0.1, eps: 1e-5 }
  const numbers = (tensor) => Array.from(tensor.to({ dtype: "float64" }).data())
  const run = (normalise, first, count) => {
    const x = inputs.narrow(0, first, count).clone().requiresGrad_()
    const y = normalise(x, norm)
    // A mean over this part's pictures, like a loss; it is not linear in y.
    y.mul(y).mul(factors.narrow(0, first, count)).sum().div(count).backward()
    return { y: numbers(y), x: numbers(x.grad), weight: numbers(norm.weight.grad), bias: numbers(norm.bias.grad),
      runningMean: numbers(norm.runningMean), runningVar: numbers(norm.runningVar) }
  }
`

interface Results {
  readonly y: number[]
  readonly x: number[]
  readonly weight: number[]
  readonly bias: number[]
  readonly runningMean: number[]
  readonly runningVar: number[]
}

describe("two ranks equal batch norm on the joined batch", () => {
  test.each([
    ["float64", 1e-11],
    ["float32", 1e-4],
  ] as const)("in values, running statistics and gradients, %s", async (dtype, tolerance) => {
    const [a, b] = await reportsOf<Results>(
      2,
      `const dtype = "${dtype}"; ${setUp}
       report(run((x, norm) => syncBatchNorm(x, norm, group), group.rank * 3, 3))`,
    )
    const joined = new Function("torch", `const dtype = "float64"; ${setUp}; return run(torch.batchNorm, 0, 6)`)(
      torch,
    ) as Results
    const close = (actual: readonly number[], expected: readonly number[]) => {
      const differences = actual.map((value, i) => Math.abs(value - expected[i]!))
      expect(differences).toHaveLength(expected.length)
      expect(Math.max(...differences) / Math.max(...expected.map(Math.abs))).toBeLessThan(tolerance)
    }
    const mean = (x: readonly number[], y: readonly number[]) => x.map((value, i) => (value + y[i]!) / 2)
    close([...a!.y, ...b!.y], joined.y)
    for (const { runningMean, runningVar } of [a!, b!]) {
      close(runningMean, joined.runningMean)
      close(runningVar, joined.runningVar)
    }
    // The reducer takes the mean of the parameters' gradients; a picture is on one rank only, which has half of the loss.
    close(mean(a!.weight, b!.weight), joined.weight)
    close(mean(a!.bias, b!.bias), joined.bias)
    close(
      [...a!.x, ...b!.x].map((value) => value / 2),
      joined.x,
    )
  })

  test("with parts of unlike size", async () => {
    const [a, b] = await reportsOf<Results>(
      2,
      `const dtype = "float64"; ${setUp}
       report(run((x, norm) => syncBatchNorm(x, norm, group), [0, 2][group.rank], [2, 4][group.rank]))`,
    )
    const joined = new Function("torch", `const dtype = "float64"; ${setUp}; return run(torch.batchNorm, 0, 6)`)(
      torch,
    ) as Results
    expect(Math.max(...[...a!.y, ...b!.y].map((y, i) => Math.abs(y - joined.y[i]!)))).toBeLessThan(1e-11)
    expect(a!.runningVar).toEqual(b!.runningVar)
  })
})

describe("on one rank", () => {
  const alone = { gatherWithGradient: (x: torch.Tensor) => x }
  const norm = {
    weight: null,
    bias: null,
    runningMean: null,
    runningVar: null,
    training: true,
    momentum: 0.1,
    eps: 1e-5,
  }

  test("without weights and statistics it is batch norm", () => {
    const x = torch.tensor(
      Float32Array.from({ length: 40 }, (_, i) => Math.sin(i)),
      [5, 8],
    )
    const difference = syncBatchNorm(x, norm, alone).sub(torch.batchNorm(x, norm)).abs().max().item()
    expect(difference).toBeLessThan(1e-6)
  })

  test("the output has the input's low precision, the statistics are in float32", () => {
    const x = torch
      .tensor(
        Float32Array.from({ length: 40 }, (_, i) => 100 + Math.sin(i)),
        [5, 8],
      )
      .to({ dtype: "bfloat16" })
    const y = syncBatchNorm(x, norm, alone)
    expect(y.dtype).toBe("bfloat16")
    const exact = torch.batchNorm(x.to({ dtype: "float32" }), norm)
    expect(y.to({ dtype: "float32" }).sub(exact).abs().max().item()).toBeLessThan(0.02)
  })

  test("in evaluation it uses the running statistics", () => {
    const x = torch.full([2, 1], 5)
    const running = { runningMean: torch.full([1], 3), runningVar: torch.full([1], 4) }
    const y = syncBatchNorm(x, { ...norm, ...running, eps: 0, training: false }, alone)
    expect(Array.from(y.data(), Number)).toEqual([1, 1])
  })
})
