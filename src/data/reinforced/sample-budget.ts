/**
 * What one sample may take. Its members say how large they are, or are packed, so a few bytes can ask for all memory:
 * what they would become is counted together, against the bytes that are there, before it is made.
 *
 * A sample of DataCompDR has 30 views and 6 captions; with two teachers of 1536 values each that is 36 x 3072 float32,
 * 0.42 MiB. Nothing published has more.
 */
import { Budget } from "../../core/budget.ts"
import { quoted, UserError } from "../../core/errors.ts"

/**
 * Of embeddings, unpacked and decoded together, so that each float32 counts twice: over 140 samples of DataCompDR, or
 * 3,000 views of one.
 */
export const mostEmbeddingBytes = 2 ** 27

/** What embeddings may take however few bytes they are stored in: vectors of zeros shrink to nothing. */
export const freeEmbeddingBytes = 2 ** 21

/** Real vectors in any of the forms take up to 7 bytes for one that is stored. */
const largestGrowth = 16

/** Arrays of embeddings; those published have 2 to 4. */
const mostArrays = 256

/** Values of a row: 21 teachers of 3072. */
const widestRow = 2 ** 16

/** Of all members together, as they are stored; no picture has more. */
export const largestSample = 2 ** 28

/** Of a caption or a URL in letters. A tokenizer takes 77 tokens of it, some 400 letters. */
export const longestText = 2 ** 16

/** Of a key. It is a path in a tar, and systems take no longer one. */
export const longestKey = 4096

/** Counts what the embeddings of a sample take. */
export class EmbeddingBudget {
  private readonly budget: Budget
  private arrays = 0

  /**
   * @param stored bytes that hold them
   * @param source the member, for messages
   */
  constructor(
    stored: number,
    private readonly source: string,
  ) {
    this.budget = new Budget(Math.min(mostEmbeddingBytes, freeEmbeddingBytes + largestGrowth * stored), source)
  }

  /** No member may be unpacked to more. */
  get total(): number {
    return this.budget.total
  }

  /** Counts bytes that something is unpacked to. Throws UserError where that is too much. */
  take(bytes: number, what: string): void {
    this.budget.take(bytes, what)
  }

  /** Counts a matrix of float32. One without values counts its rows all the same: they are gone through. Throws UserError. */
  takeMatrix(name: string, rows: number, width: number): void {
    if (++this.arrays > mostArrays) throw new UserError(`${this.source} has more than ${mostArrays} arrays`)
    if (width > widestRow) {
      throw new UserError(`${this.source}: ${quoted(name)} has rows of ${width} values, more than ${widestRow}`)
    }
    this.budget.take(4 * Math.max(rows, 1) * Math.max(width, 1), quoted(name))
  }
}

/** Throws UserError where the members of a sample are more than can be held. */
export function checkSampleSize(sizes: Iterable<number>): void {
  let bytes = 0
  for (const size of sizes) bytes += size
  if (bytes > largestSample) throw new UserError(`its members have ${bytes} bytes, more than ${largestSample}`)
}

/** What is kept of a caption: no more of a long one than any tokenizer takes, and no half of a letter. */
export function cutText(text: string): string {
  return text.length > longestText ? text.slice(0, longestText).replace(/[\ud800-\udbff]$/, "") : text
}

/** Throws UserError on more bytes (or letters, where they have been decoded) than any of their kind. */
export function checkText(length: number, name: string, longest: number): void {
  if (length > longest) throw new UserError(`${name} is ${length} long, more than ${longest}`)
}
