import { expect, test } from "vitest"
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./half.ts"
import { Random } from "./random.ts"

const everyPattern = Uint16Array.from({ length: 0x10000 }, (_, i) => i)
const words = new Uint32Array(1)
const float = new Float32Array(words.buffer)

test.each([
  ["float16", float16ToFloat32, float32ToFloat16, 0x7c00],
  ["bfloat16", bfloat16ToFloat32, float32ToBfloat16, 0x7f80],
] as const)(
  "%s: every number comes back, and others go to the nearest, ties to even",
  (_, decode, encode, infinity) => {
    const values = decode(everyPattern)
    const back = encode(values)
    const wrong = everyPattern.filter((bits) => !Number.isNaN(values[bits]) && back[bits] !== bits)
    expect(wrong).toHaveLength(0)
    expect(decode(encode(Float32Array.of(Number.NaN)))[0]).toBeNaN()

    const random = new Random(1)
    for (let i = 0; i < 30_000; i++) {
      const low = random.int(infinity - 1)
      const [a, b] = [values[low]!, values[low + 1]!]
      float[0] = a + (b - a) * random.pick([0.25, 0.5, 0.75, random.uniform()])
      const middle = (a + b) / 2
      const nearest = float[0] < middle || (float[0] === middle && low % 2 === 0) ? low : low + 1
      expect(encode(float)[0]).toBe(nearest)
    }
  },
)

test("float16: what is too large becomes infinite, what is too small zero", () => {
  const largest = 65504
  expect([...float32ToFloat16(Float32Array.of(largest, 65519, 65520, -1e9, 2 ** -25, 2 ** -24, 1e-30))]).toEqual([
    0x7bff, 0x7bff, 0x7c00, 0xfc00, 0, 1, 0,
  ])
})

test("views into larger buffers are read where they start", () => {
  const values = Float32Array.of(9, 1, 2, 9).subarray(1, 3)
  expect([...float16ToFloat32(float32ToFloat16(values))]).toEqual([1, 2])
  expect([...bfloat16ToFloat32(float32ToBfloat16(values))]).toEqual([1, 2])
})
