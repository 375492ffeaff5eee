/** Texts as rows of tokens, and encoded in batches of like length. */
import { endOfText, Tokenizer } from "./tokenizer.ts"

export interface TokenRows {
  /** [rows, contextLength], padded with 0. */
  readonly ids: BigInt64Array
  /** Tokens of each row, the end of text included. */
  readonly lengths: readonly number[]
}

/** Rows encoded at once. On a processor more are no faster, and columns are computed for nothing; a GPU wants many. */
export const textBatch = { cpu: 32, cuda: 256 } as const

export class TextRows {
  private readonly tokenizer = new Tokenizer()

  constructor(readonly contextLength: number) {}

  tokens(texts: readonly string[]): TokenRows {
    const { ids } = this.tokenizer.encodeBatch(texts, this.contextLength)
    const end = BigInt(endOfText)
    const lengths = texts.map((_, i) => ids.indexOf(end, i * this.contextLength) - i * this.contextLength + 1)
    return { ids, lengths }
  }

  /**
   * Vectors of `texts`, [texts, width], by batches of at most `size`, short texts with short ones: a causal tower
   * computes as many columns as the longest text of a batch has.
   */
  async encode(
    texts: readonly string[],
    { size, width }: { readonly size: number; readonly width: number },
    run: (rows: TokenRows) => Float32Array | Promise<Float32Array>,
  ): Promise<Float32Array> {
    const all = this.tokens(texts)
    const order = texts.map((_, i) => i).sort((a, b) => all.lengths[a]! - all.lengths[b]! || a - b)
    const vectors = new Float32Array(texts.length * width)
    for (let start = 0; start < order.length; start += size) {
      const rows = order.slice(start, start + size)
      const found = await run(this.taken(all, rows))
      rows.forEach((row, i) => {
        vectors.set(found.subarray(i * width, (i + 1) * width), row * width)
      })
    }
    return vectors
  }

  private taken({ ids, lengths }: TokenRows, rows: readonly number[]): TokenRows {
    const { contextLength } = this
    const taken = new BigInt64Array(rows.length * contextLength)
    rows.forEach((row, i) => {
      taken.set(ids.subarray(row * contextLength, (row + 1) * contextLength), i * contextLength)
    })
    return { ids: taken, lengths: rows.map((row) => lengths[row]!) }
  }
}
