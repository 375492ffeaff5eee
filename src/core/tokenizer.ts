/**
 * CLIP's tokenizer: byte-level BPE over cleaned text (OpenAI CLIP `simple_tokenizer.py`; open_clip `tokenizer.py`@7260a46).
 * Pure and synchronous, so the same file serves Node and the browser.
 */
import { cleanText } from "./clean-text.ts"
import { endOfText, endOfWordOffset, loadVocabulary, pairKey, startOfText, type Vocabulary } from "./vocabulary.ts"

export { cleanText } from "./clean-text.ts"
export { endOfText, startOfText } from "./vocabulary.ts"

/** The published pattern ignores case, under which ſ (U+017F) also equals s. */
const words = /<[sſ]tart_of_text>|<end_of_text>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^ \p{L}\p{N}]+/gu

/** Words seen are remembered, up to this many; long ones are not worth their memory. */
const cacheLimit = 100_000
const cachedLength = 64

export interface TokenBatch {
  /** Row-major, int64 as libtorch and ONNX want it. */
  readonly ids: BigInt64Array
  /** [texts, context length] */
  readonly shape: readonly [number, number]
}

export class Tokenizer {
  private readonly vocabulary: Vocabulary = loadVocabulary()
  private readonly cache = new Map<string, readonly number[]>([
    ["<start_of_text>", [startOfText]],
    ["<end_of_text>", [endOfText]],
  ])

  /** Token ids from start of text to end of text, as many as the text needs. */
  encode(text: string): number[] {
    const ids = [startOfText]
    for (const word of cleanText(text).match(words) ?? []) for (const id of this.encodeWord(word)) ids.push(id)
    ids.push(endOfText)
    return ids
  }

  /**
   * One row of `contextLength` ids per text: padded with 0, or cut with end of text as the last id.
   * CoCa's context is 76; every other text tower of the family has 77.
   */
  encodeBatch(texts: readonly string[], contextLength = 77): TokenBatch {
    const ids = new BigInt64Array(texts.length * contextLength)
    texts.forEach((text, row) => {
      const full = this.encode(text)
      const length = Math.min(full.length, contextLength)
      for (let i = 0; i < length; i++) ids[row * contextLength + i] = BigInt(full[i]!)
      if (full.length > contextLength) ids[(row + 1) * contextLength - 1] = BigInt(endOfText)
    })
    return { ids, shape: [texts.length, contextLength] }
  }

  /** The text of `ids` up to the first end of text, words ending in a space. Throws RangeError on an id outside 0..49407. */
  decode(ids: Iterable<number | bigint>): string {
    const bytes: number[] = []
    for (const id of ids) {
      const token = this.vocabulary.tokenBytes[Number(id)]
      if (!token) throw new RangeError(`token id ${id} is outside 0..${endOfText}`)
      bytes.push(...token)
      if (Number(id) === endOfText) break
    }
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes)).replaceAll("</w>", " ")
  }

  private encodeWord(word: string): readonly number[] {
    const known = this.cache.get(word)
    if (known) return known
    const ids = mergePairs(this.symbols(word), this.vocabulary.merges)
    if (word.length <= cachedLength && this.cache.size < cacheLimit) this.cache.set(word, ids)
    return ids
  }

  private symbols(word: string): number[] {
    const ids = Array.from(new TextEncoder().encode(word), (byte) => this.vocabulary.byteIds[byte]!)
    ids[ids.length - 1]! += endOfWordOffset
    return ids
  }
}

/** Repeatedly merges every occurrence of the adjacent pair that was learned first. */
function mergePairs(symbols: number[], merges: ReadonlyMap<number, number>): number[] {
  for (;;) {
    let first = Number.POSITIVE_INFINITY
    for (let i = 0; i + 1 < symbols.length; i++) {
      first = Math.min(first, merges.get(pairKey(symbols[i]!, symbols[i + 1]!)) ?? first)
    }
    if (first === Number.POSITIVE_INFINITY) return symbols
    symbols = mergeInto(symbols, first, merges)
  }
}

function mergeInto(symbols: readonly number[], merged: number, merges: ReadonlyMap<number, number>): number[] {
  const result: number[] = []
  for (let i = 0; i < symbols.length; i++) {
    const isPair = i + 1 < symbols.length && merges.get(pairKey(symbols[i]!, symbols[i + 1]!)) === merged
    result.push(isPair ? merged : symbols[i]!)
    if (isPair) i++
  }
  return result
}
