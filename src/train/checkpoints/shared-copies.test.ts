import { expect, test, vi } from "vitest"
import * as torch from "../../../torch/index.ts"
import { EnvironmentError } from "../../core/errors.ts"
import { SharedCopies } from "./shared-copies.ts"

test("the next copy of a path is in the memory of the one before, which threads share", () => {
  const copy = new SharedCopies().of("weights")
  const tensor = torch.tensor([1, 2, 3], [3])
  const first = copy("a", tensor)
  tensor.add_(1)
  const second = copy("a", tensor)
  expect(first.buffer).toBeInstanceOf(SharedArrayBuffer)
  expect(second).toBe(first)
  expect([...second]).toEqual([2, 3, 4])
})

test("values of one path and another kind have memory of their own; counters become numbers", () => {
  const copies = new SharedCopies()
  const weights = copies.of("weights")("a", torch.tensor([7, 8], [2], { dtype: "int64" }))
  const average = copies.of("average")("a", torch.tensor([0.5, 1.5], [2]))
  expect([[...weights], [...average]]).toEqual([
    [7, 8],
    [0.5, 1.5],
  ])
})

test("where no memory is left, the error says so", () => {
  vi.stubGlobal(
    "SharedArrayBuffer",
    class {
      constructor() {
        throw new RangeError("Array buffer allocation failed")
      }
    },
  )
  try {
    expect(() => new SharedCopies().of("weights")("a", torch.tensor([1], [1]))).toThrow(EnvironmentError)
  } finally {
    vi.unstubAllGlobals()
  }
})
