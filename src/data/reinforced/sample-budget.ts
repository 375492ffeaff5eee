/**
 * How much memory one sample may take. Its members say how large they are, or are packed, so a few bytes could ask for all
 * memory: their unpacked sizes are added up and compared with the stored bytes before anything is unpacked.
 *
 * A sample of DataCompDR has 30 views and 6 captions; with two teachers of 1536 values each that is 36 x 3072 float32,
 * 0.42 MiB. Nothing published has more.
 */
import { Budget } from "../../core/budget.ts"
import { quoted, UserError } from "../../core/errors.ts"

/**
 * The most bytes of embeddings, unpacked and decoded together, so that each float32 counts twice: over 140 samples of
 * DataCompDR, or 3,000 views of one.
 */
export const mostEmbeddingBytes = 2 ** 27

/** Bytes that embeddings may take even if they are stored in very few: vectors of zeros shrink to nothing. */
export const freeEmbeddingBytes = 2 ** 21

/** Real vectors, in any of the formats, take up to 7 bytes for each stored byte. */
const largestGrowth = 16

/** Arrays of embeddings; those published have 2 to 4. */
const mostArrays = 256

/** Values of a row: 21 teachers of 3072. */
const widestRow = 2 ** 16

/** Bytes of all members together, as they are stored; no picture has more. */
export const largestSample = 2 ** 28

/** Letters of a caption or a URL. A tokenizer takes 77 tokens, about 400 letters. */
export const longestText = 2 ** 16

/** Letters of a key. It is a path in a tar, and systems do not take longer ones. */
export const longestKey = 4096

/** Counts the memory that the embeddings of a sample take. */
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

  /** Counts bytes that are unpacked. Throws UserError where they are too many. */
  take(bytes: number, what: string): void {
    this.budget.take(bytes, what)
  }

  /** Counts a matrix of float32. A matrix without values counts its rows, because reading goes through them. Throws UserError. */
  takeMatrix(name: string, rows: number, width: number): void {
    if (++this.arrays > mostArrays) throw new UserError(`${this.source} has more than ${mostArrays} arrays`)
    if (width > widestRow) {
      throw new UserError(`${this.source}: ${quoted(name)} has rows of ${width} values, more than ${widestRow}`)
    }
    this.budget.take(4 * Math.max(rows, 1) * Math.max(width, 1), quoted(name))
  }
}

/** Throws UserError where the members of a sample have more bytes than are read. */
export function checkSampleSize(sizes: Iterable<number>): void {
  let bytes = 0
  for (const size of sizes) bytes += size
  if (bytes > largestSample) throw new UserError(`its members have ${bytes} bytes, more than ${largestSample}`)
}

/** Cuts a long caption: what is kept is more than any tokenizer takes, and does not end within a letter. */
export function cutText(text: string): string {
  return text.length > longestText ? text.slice(0, longestText).replace(/[\ud800-\udbff]$/, "") : text
}

/** Throws UserError where a text has more bytes (or letters, where it is decoded) than are read. */
export function checkText(length: number, name: string, longest: number): void {
  if (length > longest) throw new UserError(`${name} is ${length} long, more than ${longest}`)
}
