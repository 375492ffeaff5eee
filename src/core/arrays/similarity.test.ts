import { expect, test } from "vitest"
import { withKernels } from "../kernels/kernels.ts"
import { Random } from "./random.ts"
import { cosines, l2Normalize, matchRanks, matchRanksInTurns, softmax } from "./similarity.ts"

test("rows get unit length, a row of zeros stays", () => {
  expect([...l2Normalize(Float32Array.of(3, 4, 0, 0), 2)]).toEqual([Math.fround(0.6), Math.fround(0.8), 0, 0])
})

test("cosines are images by texts", () => {
  const images = Float32Array.of(1, 0, 0.6, 0.8)
  const texts = Float32Array.of(1, 0, 0, 1, -1, 0)
  expect([...cosines(images, texts, 2)]).toEqual([1, 0, -1, 0.6, 0.8, -0.6].map(Math.fround))
})

/** Whole numbers from -2 to 2: their products are exact, and many are equal. */
function wholeNumbers(count: number, seed: number): Float32Array {
  const random = new Random(seed)
  return Float32Array.from({ length: count }, () => (random.uint32() % 5) - 2)
}

function product(left: Float32Array, right: Float32Array, width: number, i: number, j: number): number {
  let sum = 0
  for (let k = 0; k < width; k++) sum += left[i * width + k]! * right[j * width + k]!
  return sum
}

test.each([
  [1, 1, 1],
  [3, 9, 7],
  [261, 1037, 3],
  [5, 13, 600],
])("cosines of %i x %i vectors, %i wide, over the borders of tiles, blocks and sums", (n, m, width) => {
  const [images, texts] = [wholeNumbers(n * width, 1), wholeNumbers(m * width, 2)]
  const expected = Float32Array.from({ length: n * m }, (_, at) =>
    product(images, texts, width, Math.floor(at / m), at % m),
  )
  const found = cosines(images, texts, width)
  expect(found).toHaveLength(expected.length)
  expect(found.findIndex((value, i) => value !== expected[i])).toBe(-1)
})

test("cosines are as close to the exact ones as float32 sums are", () => {
  const [n, m, width] = [4, 9, 1024]
  const random = new Random(3)
  const vectors = (count: number) =>
    l2Normalize(
      Float32Array.from({ length: count * width }, () => random.uint32() / 2 ** 31 - 1),
      width,
    )
  const [images, texts] = [vectors(n), vectors(m)]
  const found = cosines(images, texts, width)
  const errors = [...found].map((value, at) =>
    Math.abs(value - product(images, texts, width, Math.floor(at / m), at % m)),
  )
  expect(Math.max(...errors)).toBeLessThan(1e-7)
})

test("equal vectors have equal cosines wherever they are", () => {
  const [n, m, width] = [270, 530, 301]
  const random = new Random(4)
  const floats = (count: number) => Float32Array.from({ length: count * width }, () => random.uint32() / 2 ** 32)
  const [images, texts] = [floats(n), floats(m)]
  for (const at of [1, 7, 511, 512, 529]) texts.copyWithin(at * width, 0, width)
  for (const at of [3, 255, 256, 269]) images.copyWithin(at * width, 0, width)
  const found = cosines(images, texts, width)
  for (let row = 0; row < n; row++) {
    expect([1, 7, 511, 512, 529].map((at) => found[row * m + at])).toEqual(Array(5).fill(found[row * m]))
  }
  for (const at of [3, 255, 256, 269]) expect(found.subarray(at * m, (at + 1) * m)).toEqual(found.subarray(0, m))
})

/** As defined, from the whole matrix. */
function plainRanks(scores: Float32Array, images: number, imageOfText: readonly number[]) {
  const texts = imageOfText.length
  const rank = (all: readonly number[], target: number) =>
    all.filter((score, i) => score > all[target]! || (score === all[target] && i < target)).length
  const row = (image: number) => [...scores.subarray(image * texts, (image + 1) * texts)]
  const column = (text: number) => Array.from({ length: images }, (_, image) => scores[image * texts + text]!)
  const own = (image: number) => [...imageOfText.keys()].filter((text) => imageOfText[text] === image)
  return {
    textToImage: Float64Array.from(imageOfText, (image, text) => rank(column(text), image)),
    imageToText: Float64Array.from({ length: images }, (_, image) =>
      Math.min(Number.POSITIVE_INFINITY, ...own(image).map((text) => rank(row(image), text))),
    ),
  }
}

test.each([
  [2, 3, 2],
  [261, 1037, 3],
  [40, 515, 9],
  [4100, 1030, 3],
])("ranks of %i images and %i texts with many equal cosines, %i wide", (n, m, width) => {
  const [images, texts] = [wholeNumbers(n * width, 5), wholeNumbers(m * width, 6)]
  const random = new Random(7)
  // Uneven numbers of texts, none for some images.
  const imageOfText = Array.from({ length: m }, () => random.uint32() % (n - 1))
  const expected = plainRanks(cosines(images, texts, width), n, imageOfText)
  expect(expected.imageToText[n - 1]).toBe(Number.POSITIVE_INFINITY)
  expect(matchRanks(images, texts, width, imageOfText)).toEqual(expected)
})

test("ranks in turns are the same, and other work of the kernels comes in between", async () => {
  const [n, m, width] = [4100, 1030, 3]
  const [images, texts] = [wholeNumbers(n * width, 5), wholeNumbers(m * width, 6)]
  const imageOfText = Int32Array.from({ length: m }, (_, text) => text % 40)
  let turns = 0
  const timer = setInterval(() => {
    turns++
    cosines(images.subarray(0, 300 * width), texts, width)
  })
  const found = await matchRanksInTurns(images, texts, width, imageOfText)
  clearInterval(timer)
  expect(found).toEqual(matchRanks(images, texts, width, imageOfText))
  // There are two parts of the images for three of the texts, and a turn after each.
  expect(turns).toBeGreaterThan(2)
})

test("vectors that are not numbers match nothing", () => {
  const images = Float32Array.of(1, 0, Number.NaN, 1)
  const texts = Float32Array.of(1, 0, 0, 1)
  expect(matchRanks(images, texts, 2, [0, 1])).toEqual({
    textToImage: Float64Array.of(0, Number.POSITIVE_INFINITY),
    imageToText: Float64Array.of(0, Number.POSITIVE_INFINITY),
  })
})

test("ranks of 2,000 x 30,000 take a small part of the 240 MB of their cosines", () => {
  const width = 4
  matchRanks(
    wholeNumbers(2000 * width, 8),
    wholeNumbers(30_000 * width, 9),
    width,
    Int32Array.from({ length: 30_000 }, (_, text) => text % 2000),
  )
  // What the kernels took is kept for the next computation where it is below 64 MiB.
  const kept = withKernels((kernels) => kernels.bytes)
  expect(kept).toBeGreaterThan(30_000 * 12)
  expect(kept).toBeLessThan(32 * 2 ** 20)
})

test("softmax over the labels of each image, also at a scale that overflows exp", () => {
  const probabilities = softmax(Float32Array.of(0.3, 0.2, 1, -1), 2, 100)
  expect(probabilities[0]).toBeCloseTo(1 / (1 + Math.exp(-10)), 6)
  expect(probabilities[0]! + probabilities[1]!).toBeCloseTo(1, 6)
  expect([...softmax(Float32Array.of(1, -1), 2, 1e6)]).toEqual([1, 0])
})
