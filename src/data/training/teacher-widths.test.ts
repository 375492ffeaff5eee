import { expect, test } from "vitest"
import { bfloat16ToFloat32, float32ToBfloat16 } from "../../core/arrays/half.ts"
import { Random } from "../../core/arrays/random.ts"
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { checkTeacherWidths, findTeacherWidths } from "./teacher-widths.ts"

function rowsOf(widths: readonly number[], count: number, random = new Random(4)): Float32Array[] {
  const unit = (width: number) =>
    l2Normalize(
      Float32Array.from({ length: width }, () => random.normal()),
      width,
    )
  return Array.from({ length: count }, () => Float32Array.from(widths.flatMap((width) => [...unit(width)])))
}

test.each([[[8]], [[8, 8]], [[12, 20]], [[768, 768]], [[512, 768, 1024]]])("widths %j are found", (widths) => {
  const rows = rowsOf(widths, 30)
  expect(findTeacherWidths(rows, "x")).toEqual(widths)
  const rounded = rows.map((row) => bfloat16ToFloat32(float32ToBfloat16(row)))
  expect(findTeacherWidths(rounded, "x")).toEqual(widths)
  const compact = rows.map((row) => row.map((value) => Math.round(value * 900) / 900))
  expect(findTeacherWidths(compact, "x")).toEqual(widths)
})

test("ambiguous rows are refused", () => {
  const message = (rows: Float32Array[]) => {
    try {
      return findTeacherWidths(rows, "x.tar")
    } catch (error) {
      return (error as Error).message
    }
  }
  const rows = rowsOf([8, 8], 10)
  expect(message(rows.map((row) => row.map((value) => 0.8 * value)))).toContain("their parts are not unit vectors")
  expect(message([Float32Array.of(1, 0, 0, 1)])).toContain("the rows do not tell where a teacher's part ends")
})

test("widths that are given must fill a row", () => {
  expect(checkTeacherWidths([3, 5], 8, "x")).toEqual([3, 5])
  expect(() => checkTeacherWidths([3, 4], 8, "x.tar")).toThrow("x.tar: rows of embeddings are 8 wide")
})
