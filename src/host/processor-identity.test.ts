import { expect, test } from "vitest"
import { firstIn, processorIdentity } from "./processor-identity.ts"

const processor = (clock: number, flags: string) =>
  `processor\t: 0\nmodel name\t: A processor\ncpu MHz\t\t: ${clock}\nflags\t\t: ${flags}\n\n`

test("another instruction set is another processor; another clock, and how many there are, is not", () => {
  const one = processor(2000, "avx2 avx512f")
  expect(firstIn(one)).toBe("model name\t: A processor; flags\t\t: avx2 avx512f")
  expect(firstIn(processor(3000.5, "avx2 avx512f") + one)).toBe(firstIn(one))
  expect(firstIn(processor(2000, "avx2"))).not.toBe(firstIn(one))
})

test("ARM names its processors in other words, and other systems have no such list", () => {
  expect(firstIn("processor\t: 0\nFeatures\t: fp asimd bf16\nCPU implementer\t: 0x41\n")).toBe(
    "Features\t: fp asimd bf16; CPU implementer\t: 0x41",
  )
  expect(firstIn("")).toBe(null)
})

test("this machine's stays the same", () => {
  expect(processorIdentity()).toBe(processorIdentity())
  expect(processorIdentity().length).toBeGreaterThan(process.arch.length + 1)
})
