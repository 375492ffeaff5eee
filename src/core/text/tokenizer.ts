/**
 * CLIP's tokenizer: byte-level BPE over cleaned text (OpenAI CLIP `simple_tokenizer.py`; open_clip `tokenizer.py`@7260a46).
 * Pure and synchronous, so the same file serves Node and the browser.
 */
import { kindOf, requireTexts } from "../arguments.ts"
import { UserError } from "../errors.ts"
import { cleanText } from "./clean-text.ts"
import {
  endOfText,
  endOfTextToken,
  endOfWordOffset,
  loadTokenBytes,
  loadVocabulary,
  type Merges,
  startOfText,
  startOfTextToken,
  type Vocabulary,
} from "./vocabulary.ts"

export { cleanText } from "./clean-text.ts"
export { endOfText, startOfText } from "./vocabulary.ts"

/**
 * The published pattern ignores case, which for lower-case text has two effects: ſ (U+017F) is also s, and U+0345,
 * whose upper case is the letter iota, is neither letter nor other and drops out.
 */
const words = /<[sſ]tart_of_text>|<end_of_text>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|(?:(?!\u0345)[^ \p{L}\p{N}])+/gu

/** Words seen are remembered, up to this many; long ones are not worth their memory. */
const cacheLimit = 100_000
const cachedLength = 64

interface TokenBatch {
  /** Row-major, int64 as libtorch and ONNX want it. */
  readonly ids: BigInt64Array
  /** [texts, context length] */
  readonly shape: readonly [number, number]
}

export class Tokenizer {
  private readonly vocabulary: Vocabulary = loadVocabulary()
  private readonly cache = new Map<string, readonly number[]>([
    [startOfTextToken, [startOfText]],
    [endOfTextToken, [endOfText]],
  ])

  /** Token ids from start of text to end of text, as many as the text needs. */
  encode(text: string): number[] {
    if (typeof text !== "string") throw new UserError(`a text was expected, not ${kindOf(text)}`)
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
    requireTexts(texts, "texts", 'write ["a photo of a cat"]')
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
    const tokens = loadTokenBytes()
    const bytes: number[] = []
    for (const id of ids) {
      const token = tokens[Number(id)]
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

/** In place of a symbol that was merged into the one on its left. */
const gone = -1

/**
 * Merges adjacent pairs in place: those with the lowest merged id (learned first) first, from left to right. A merge
 * makes room only for merges with higher ids, so every id is settled in one go; that keeps long words from taking
 * quadratic time.
 */
function mergePairs(symbols: number[], merges: Merges): number[] {
  const next = symbols.map((_, i) => i + 1)
  const previous = symbols.map((_, i) => i - 1)
  const candidates = new Map<number, number[]>()
  const mergeAt = (left: number) => merges.merged(symbols[left] ?? gone, symbols[next[left]!] ?? gone)
  const propose = (left: number) => {
    const id = mergeAt(left)
    if (id !== undefined)
      candidates
        .set(id, candidates.get(id) ?? [])
        .get(id)!
        .push(left)
  }
  for (let left = 0; left < symbols.length; left++) propose(left)
  while (candidates.size > 0) {
    const id = Math.min(...candidates.keys())
    const places = candidates.get(id)!.sort((a, b) => a - b)
    candidates.delete(id)
    for (const left of places) {
      if (mergeAt(left) !== id) continue
      const right = next[left]!
      symbols[left] = id
      symbols[right] = gone
      next[left] = next[right]!
      previous[next[right]!] = left
      propose(previous[left]!)
      propose(left)
    }
  }
  return symbols.filter((symbol) => symbol !== gone)
}
