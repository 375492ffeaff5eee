import { expect, test } from "vitest"
import { checkInside, compress, decompress, parseParamAug } from "./stored.ts"

const entry = [
  [12, 40, 310, 280],
  [
    [3, -30.45317],
    [12, 0],
  ],
]

test("a list and its JSON are the same views", () => {
  expect(parseParamAug([entry], "sample 1")).toEqual([entry])
  expect(parseParamAug(JSON.stringify([entry]), "sample 1")).toEqual([entry])
  expect(parseParamAug([], "sample 1")).toEqual([])
})

test("a skipped RandAugment is null, or not there at all", () => {
  expect(parseParamAug([[[0, 0, 1, 1], null], [[0, 0, 1, 1]]], "sample 1")).toEqual([
    [[0, 0, 1, 1], null],
    [[0, 0, 1, 1], null],
  ])
})

test("decompressed, operations have their names, and back", () => {
  const [view] = parseParamAug([entry], "sample 1")
  const long = decompress(view!)
  expect(long.rand_augment).toEqual([
    [
      ["TranslateX", -30.45317],
      ["AutoContrast", 0],
    ],
  ])
  expect(compress(long)).toEqual(view)
  expect(compress(decompress([[0, 0, 2, 2], null]))).toEqual([[0, 0, 2, 2], null])
  expect(() => compress({ ...long, rand_augment: [[["ShareX", 1]]] })).toThrow('"ShareX" is not an operation')
})

test.each([
  ["{", "sample 1: param_aug is a text that is not JSON"],
  [{}, "sample 1: param_aug is a list of views, not"],
  [[[]], "sample 1: param_aug[0] is [[top, left, height, width], operations]"],
  [[entry, [[0, 0, 0, 5], null]], "sample 1: param_aug[1]: a crop is [top, left, height, width] in whole pixels"],
  [[[[0, -1, 5, 5], null]], "a crop is"],
  [[[[0, 0.5, 5, 5], null]], "a crop is"],
  [[[[0, 0, 5], null]], "a crop is"],
  [[[[0, 0, 5, 5, 5], null]], "a crop is"],
  [[[[0, 0, 5, 5], 3]], "operations are a list of [index, magnitude], or null"],
  [[[[0, 0, 5, 5], [[14, 0]]]], "index is 0 to 13, not"],
  [[[[0, 0, 5, 5], [[1.5, 0]]]], "index is 0 to 13"],
  [[[[0, 0, 5, 5], [[1, null]]]], "an operation is [index, magnitude]"],
  [[[[0, 0, 5, 5], [["ShearX", 1]]]], "an operation is [index, magnitude]"],
  [[[[0, 0, 5, 5], [[10, 9]]]], "Posterize keeps 0 to 8 bits"],
])("%j is refused", (value, reason) => {
  expect(() => parseParamAug(value, "sample 1")).toThrow(reason)
})

test("a crop of another copy of the picture is refused", () => {
  expect(() => checkInside([0, 0, 5, 5], { width: 5, height: 5 }, "a.jpg")).not.toThrow()
  expect(() => checkInside([1, 0, 5, 5], { width: 5, height: 5 }, "a.jpg")).toThrow(
    "a.jpg: the stored crop [1,0,5,5] (top, left, height, width) does not lie in 5 x 5 pixels",
  )
})
