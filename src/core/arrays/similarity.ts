/** Cosine similarity and zero-shot probabilities over plain arrays; matrices are row-major float32. */
import { assert } from "../errors.ts"
import { type Kernels, withKernels } from "../kernels/kernels.ts"
import { eachProductBlock, pairProducts } from "../kernels/products.ts"

/** Divides each row of [rows, width] by its length, in place; a row of zeros stays. */
export function l2Normalize(matrix: Float32Array, width: number): Float32Array {
  assert(matrix.length % width === 0, `${matrix.length} values are not rows of ${width}`)
  for (let row = 0; row < matrix.length; row += width) {
    let squares = 0
    for (let i = row; i < row + width; i++) squares += matrix[i]! * matrix[i]!
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0
    for (let i = row; i < row + width; i++) matrix[i]! *= scale
  }
  return matrix
}

/** Images [N, width] and texts [M, width], both of unit length -> cosines [N, M]. Equal vectors have equal cosines. */
export function cosines(images: Float32Array, texts: Float32Array, width: number): Float32Array {
  assert(images.length % width === 0 && texts.length % width === 0, `rows are not ${width} wide`)
  const m = texts.length / width
  const result = new Float32Array((images.length / width) * m)
  withKernels((kernels) => {
    eachProductBlock(kernels, images, texts, width, ({ products, rows, columns, stride, firstRow, firstColumn }) => {
      for (let i = 0; i < rows; i++)
        result.set(kernels.float32(products + i * stride * 4, columns), (firstRow + i) * m + firstColumn)
    })
  })
  return result
}

/** 0-based ranks in both directions; infinite where there is no match, or its cosine is not a number. */
export interface MatchRanks {
  /** For each text the rank of its image among all images. */
  readonly textToImage: Float64Array
  /** For each image the rank of the best of its texts among all texts; infinite for an image without texts. */
  readonly imageToText: Float64Array
}

/**
 * Ranks by cosine of images [N, width] and texts [M, width], both of unit length, where text t belongs to image
 * `imageOfText[t]`. Where two cosines are equal, the first one ranks higher. Memory does not grow with N x M.
 */
export function matchRanks(
  images: Float32Array,
  texts: Float32Array,
  width: number,
  imageOfText: ArrayLike<number>,
): MatchRanks {
  assert(images.length % width === 0 && texts.length % width === 0, `rows are not ${width} wide`)
  assert(texts.length === imageOfText.length * width, `${imageOfText.length} images of ${texts.length / width} texts`)
  return withKernels((kernels) => {
    const scores = pairProducts(kernels, images, texts, width, imageOfText)
    const best = bestTexts(scores, imageOfText, images.length / width)
    const ofImages = putMatches(kernels, best.scores, best.texts)
    const ofTexts = putMatches(kernels, scores, Int32Array.from(imageOfText))
    eachProductBlock(kernels, images, texts, width, (block) => {
      const { products, rows, columns, stride, firstRow, firstColumn } = block
      kernels.run.addRanks(
        ...([products, rows, columns, stride, firstRow, firstColumn] as const),
        ...from(ofImages, firstRow),
        ...from(ofTexts, firstColumn),
      )
    })
    const ranks = (matches: Matches, { length }: Float32Array) => kernels.int32(matches[2], length)
    return {
      textToImage: Float64Array.from(ranks(ofTexts, scores), (rank, text) => orNever(rank, scores[text]!)),
      imageToText: Float64Array.from(ranks(ofImages, best.scores), (rank, image) => orNever(rank, best.scores[image]!)),
    }
  })
}

/** Addresses of each one's cosine with its match, of the match's place, and of its rank. */
type Matches = readonly [scores: number, matches: number, ranks: number]

function putMatches(kernels: Kernels, scores: Float32Array, matches: Int32Array): Matches {
  return [kernels.put(scores), kernels.put(matches), kernels.put(new Int32Array(matches.length))]
}

function from(matches: Matches, first: number): Matches {
  return [matches[0] + first * 4, matches[1] + first * 4, matches[2] + first * 4]
}

/** The text with the largest cosine of each image's own, the first of equal ones; NaN and -1 where there is none. */
function bestTexts(scores: Float32Array, imageOfText: ArrayLike<number>, images: number) {
  const best = { scores: new Float32Array(images).fill(Number.NaN), texts: new Int32Array(images).fill(-1) }
  scores.forEach((score, text) => {
    const image = imageOfText[text]!
    if (score <= best.scores[image]! || Number.isNaN(score)) return
    best.scores[image] = score
    best.texts[image] = text
  })
  return best
}

function orNever(rank: number, score: number): number {
  return Number.isNaN(score) ? Number.POSITIVE_INFINITY : rank
}

/** Each row of cosines [N, labels] -> probabilities of the labels: softmax(logitScale * cosine). */
export function softmax(cosines: Float32Array, labels: number, logitScale: number): Float32Array {
  const result = new Float32Array(cosines.length)
  const powers = new Float64Array(labels)
  for (let row = 0; row < cosines.length; row += labels) {
    let [largest, sum] = [Number.NEGATIVE_INFINITY, 0]
    for (let i = 0; i < labels; i++) largest = Math.max(largest, cosines[row + i]!)
    for (let i = 0; i < labels; i++) sum += powers[i] = Math.exp(logitScale * (cosines[row + i]! - largest))
    for (let i = 0; i < labels; i++) result[row + i] = powers[i]! / sum
  }
  return result
}
