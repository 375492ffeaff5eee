import { crc32, inflateRawSync } from "node:zlib"
import { expect, test } from "vitest"
import { likeVectors } from "../../../test/reinforced.ts"
import { Random } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import { compactStep, decodeCompact, encodeCompact } from "./compact.ts"
import { writeEmbeddings } from "./embeddings.ts"
import type { Embeddings } from "./sample.ts"

function sampleOf(likeness: number): Map<string, Embeddings> {
  const random = Random.of(5, likeness)
  return new Map([
    ["image_emb", likeVectors(30, 1536, likeness, random)],
    ["text_emb", likeVectors(6, 1536, likeness, random)],
  ])
}

function floats(rows: number, width: number, values: ArrayLike<number>): Embeddings {
  return { rows, width, values: Float32Array.from(values), dtype: "float32" }
}

test.each([0, 0.5, 0.8, 0.95])(
  "vectors of likeness %d keep to the bounds in at most 0.6 of bfloat16's bytes",
  (likeness) => {
    const embeddings = sampleOf(likeness)
    const bytes = encodeCompact(embeddings)
    const decoded = decodeCompact(bytes, "cemb")
    expect(bytes.length).toBeLessThan(0.6 * writeEmbeddings("pth.gz", embeddings).length)
    expect([...decoded.keys()]).toEqual([...embeddings.keys()])
    for (const [name, { rows, width, values }] of embeddings) {
      const found = decoded.get(name)!
      expect([found.rows, found.width]).toEqual([rows, width])
      const errors = values.map((value, i) => Math.abs(value - found.values[i]!))
      expect(Math.max(...errors)).toBeLessThanOrEqual(compactStep / 2 + 2 ** -24)
      for (let part = 0; part < rows * 2; part++) {
        const range = [part * 768, (part + 1) * 768] as const
        expect(cosine(values.subarray(...range), found.values.subarray(...range))).toBeGreaterThan(0.99994)
      }
    }
    expect(encodeCompact(decoded)).toEqual(bytes)
  },
)

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

test("no rows, no columns, equal rows, large components", () => {
  const embeddings = new Map([
    ["none", floats(0, 1536, [])],
    ["narrow", floats(3, 0, [])],
    [
      "equal",
      floats(
        40,
        4,
        Array.from({ length: 160 }, (_, i) => [0.5, -0.5, 0.25, -1][i % 4]!),
      ),
    ],
    ["large", floats(1, 2, [36, -36])],
    ["größer", floats(2, 1, [1, -1])],
  ])
  const decoded = decodeCompact(encodeCompact(embeddings), "cemb")
  for (const [name, { values }] of embeddings) {
    decoded.get(name)!.values.forEach((value, i) => {
      expect(value).toBeCloseTo(values[i]!, 3)
    })
  }
})

test("components that no unit vector has are refused", () => {
  expect(() => encodeCompact(new Map([["x", floats(1, 1, [37])]]))).toThrow('"x" has a component beyond 36')
  expect(() => encodeCompact(new Map([["x", floats(1, 1, [Number.NaN])]]))).toThrow(
    '"x" has values that are not numbers',
  )
})

test("every change of a byte is found", () => {
  const bytes = encodeCompact(new Map([["image_emb", likeVectors(3, 16, 0.8, new Random(1))]]))
  for (let i = 0; i < bytes.length; i++) {
    const changed = bytes.with(i, bytes[i]! ^ 0x10)
    expect(() => decodeCompact(changed, "a.cemb"), `byte ${i}`).toThrow(UserError)
    expect(() => decodeCompact(bytes.subarray(0, i), "a.cemb"), `${i} bytes`).toThrow(/^a\.cemb: /)
  }
})

test("the bytes are those of the example in docs/formats.md", () => {
  const bytes = Buffer.from(encodeCompact(new Map([["e", floats(2, 2, [0.5, -0.25, 0.5, -0.125])]])))
  const [head, length, planes] = [bytes.subarray(0, 21), bytes.readUInt32LE(21), bytes.subarray(25, -4)]
  expect(head.toString("hex")).toBe(
    "43454d42" + "01" + "01" + "01" + "65" + "01" + "b4a2913a" + "02000000" + "02000000",
  )
  expect(planes.length).toBe(length)
  expect(inflateRawSync(planes).toString("hex")).toBe("84c100e2" + "03010000")
  expect(bytes.readUInt32LE(bytes.length - 4)).toBe(crc32(bytes.subarray(0, -4)))
})
