import { expect, test } from "vitest"
import { likeVectors } from "../../../test/reinforced.ts"
import { bfloat16ToFloat32, float32ToBfloat16 } from "../../core/arrays/half.ts"
import { Random } from "../../core/arrays/random.ts"
import type { Embeddings } from "../../data/reinforced/sample.ts"
import { widthsOfUnitParts } from "./unit-parts.ts"

/** Rows of unit vectors of several widths side by side. */
function concatenated(rows: number, widths: readonly number[], random = new Random(1)): Embeddings {
  const values: number[] = []
  for (let row = 0; row < rows; row++) {
    for (const width of widths) {
      const part = Array.from({ length: width }, () => random.normal())
      const length = Math.hypot(...part)
      values.push(...part.map((value) => value / length))
    }
  }
  return { rows, width: values.length / rows, values: Float32Array.from(values), dtype: "float32" }
}

test.each([[[7]], [[768, 768]], [[12, 20]], [[512, 768, 640]]])("widths %o are found in the vectors", (widths) => {
  const vectors = concatenated(40, widths)
  expect(widthsOfUnitParts([vectors])).toEqual(widths)
  const values = bfloat16ToFloat32(float32ToBfloat16(vectors.values))
  expect(widthsOfUnitParts([{ ...vectors, values }])).toEqual(widths)
})

test("views of one picture resemble each other, and tell the border all the same", () => {
  const samples = Array.from({ length: 6 }, (_, i) => likeVectors(10, 1536, 0.9, new Random(i)))
  expect(widthsOfUnitParts(samples)).toEqual([768, 768])
})

test("vectors of another length, none, or with no numbers have no teachers", () => {
  const vectors = concatenated(20, [16, 16])
  expect(widthsOfUnitParts([{ ...vectors, values: vectors.values.map((value) => value * 0.9) }])).toBeNull()
  expect(widthsOfUnitParts([{ ...vectors, values: vectors.values.fill(Number.NaN) }])).toBeNull()
  expect(widthsOfUnitParts([{ ...vectors, rows: 0, values: new Float32Array() }])).toBeNull()
  expect(widthsOfUnitParts([])).toBeNull()
})
