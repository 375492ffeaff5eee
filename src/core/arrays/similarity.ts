/** Cosine similarity and zero-shot probabilities over plain arrays; matrices are row-major float32. */
import { assert } from "../errors.ts"
import { type Kernels, withKernels } from "../kernels/kernels.ts"
import { eachProductBlock, pairProducts } from "../kernels/products.ts"
import { atOnce, inTurns } from "../turns.ts"

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
export function matchRanks(...problem: RankProblem): MatchRanks {
  return atOnce(ranking(...problem))
}

/** The same in parts that take a twentieth of a second each, with a turn of the event loop after each. */
export function matchRanksInTurns(...problem: RankProblem): Promise<MatchRanks> {
  return inTurns(ranking(...problem))
}

type RankProblem = readonly [images: Float32Array, texts: Float32Array, width: number, imageOfText: ArrayLike<number>]

/** Images and texts of a part: of 512 wide vectors a billion products and sums. */
const [imagesAtOnce, textsAtOnce] = [4096, 512] as const

/** Pauses after each part. Parts leave nothing in the kernels' memory, which others may use in the pauses. */
function* ranking(...[images, texts, width, imageOfText]: RankProblem): Generator<void, MatchRanks> {
  assert(images.length % width === 0 && texts.length % width === 0, `rows are not ${width} wide`)
  assert(texts.length === imageOfText.length * width, `${imageOfText.length} images of ${texts.length / width} texts`)
  const [n, m] = [images.length / width, texts.length / width]
  const scores = withKernels((kernels) => pairProducts(kernels, images, texts, width, imageOfText))
  const best = bestTexts(scores, imageOfText, n)
  const ofTexts = { scores, matches: Int32Array.from(imageOfText), ranks: new Int32Array(m) }
  const ofImages = { scores: best.scores, matches: best.texts, ranks: new Int32Array(n) }
  for (let firstText = 0; firstText < m; firstText += textsAtOnce) {
    for (let firstImage = 0; firstImage < n; firstImage += imagesAtOnce) {
      const rows = partOf(images, width, ofImages, firstImage, imagesAtOnce)
      const columns = partOf(texts, width, ofTexts, firstText, textsAtOnce)
      withKernels((kernels) => addRanks(kernels, rows, columns, width))
      yield
    }
  }
  return {
    textToImage: Float64Array.from(ofTexts.ranks, (rank, text) => orNever(rank, scores[text]!)),
    imageToText: Float64Array.from(ofImages.ranks, (rank, image) => orNever(rank, best.scores[image]!)),
  }
}

/** For each vector its cosine with its match, the match's place, and how many are above it so far. */
interface Matched {
  readonly scores: Float32Array
  readonly matches: Int32Array
  readonly ranks: Int32Array
}

interface Part extends Matched {
  readonly vectors: Float32Array
  /** The place of its first vector among all. */
  readonly first: number
}

function partOf(
  vectors: Float32Array,
  width: number,
  { scores, matches, ranks }: Matched,
  first: number,
  most: number,
): Part {
  const end = first + most
  return {
    first,
    vectors: vectors.subarray(first * width, end * width),
    scores: scores.subarray(first, end),
    matches: matches.subarray(first, end),
    ranks: ranks.subarray(first, end),
  }
}

/** Adds to the ranks of both what is above their matches in the other part. */
function addRanks(kernels: Kernels, images: Part, texts: Part, width: number): void {
  const [ofImages, ofTexts] = [putMatches(kernels, images), putMatches(kernels, texts)]
  eachProductBlock(kernels, images.vectors, texts.vectors, width, (block) => {
    const { products, rows, columns, stride, firstRow, firstColumn } = block
    kernels.run.addRanks(
      ...([products, rows, columns, stride, images.first + firstRow, texts.first + firstColumn] as const),
      ...from(ofImages, firstRow),
      ...from(ofTexts, firstColumn),
    )
  })
  images.ranks.set(kernels.int32(ofImages[2], images.ranks.length))
  texts.ranks.set(kernels.int32(ofTexts[2], texts.ranks.length))
}

/** Addresses of each one's cosine with its match, of the match's place, and of its rank. */
type Matches = readonly [scores: number, matches: number, ranks: number]

function putMatches(kernels: Kernels, { scores, matches, ranks }: Matched): Matches {
  return [kernels.put(scores), kernels.put(matches), kernels.put(ranks)]
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
