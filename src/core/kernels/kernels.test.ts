import { expect, test } from "vitest"
import { withKernels } from "./kernels.ts"

test("what is reserved does not overlap, has padding, and grows the memory", () => {
  withKernels((kernels) => {
    const [first, second] = [kernels.reserve(3), kernels.reserve(2_000_000)]
    expect(first % 16).toBe(0)
    expect(second - first).toBeGreaterThanOrEqual(3 + 16)
    expect(kernels.bytes).toBeGreaterThanOrEqual(second + 2_000_000 + 16)
    const copied = kernels.put(Int16Array.of(1, -2, 3))
    expect([...kernels.uint8(copied, 6)]).toEqual([1, 0, 254, 255, 3, 0])
  })
})

test("memory is used again from the start, also after an error, and much of it is given back", () => {
  const first = withKernels((kernels) => kernels.reserve(1000))
  expect(() =>
    withKernels((kernels) => {
      kernels.reserve(1000)
      throw new Error("in the middle")
    }),
  ).toThrow("in the middle")
  expect(withKernels((kernels) => kernels.reserve(1000))).toBe(first)
  withKernels((kernels) => {
    kernels.reserve(80 * 2 ** 20)
    expect(kernels.bytes).toBeGreaterThan(80 * 2 ** 20)
  })
  expect(withKernels((kernels) => kernels.bytes)).toBeLessThan(64 * 2 ** 20)
})
