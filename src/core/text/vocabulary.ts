/**
 * CLIP's byte-pair vocabulary: 256 byte symbols, the same 256 ending a word, 48,894 merges, start and end of text. All of it
 * follows from the merges, which `vocabulary/build.js` writes into a table.
 */
import { mergeTable } from "./merge-table.ts"

/** Token ids of CLIP's vocabulary. */
export const startOfText = 49406
export const endOfText = 49407
/** Id of `symbol + "</w>"` minus id of `symbol`, for the 256 byte symbols. */
export const endOfWordOffset = 256

const endOfWord = "</w>"
/** Id of the first merged token; the others follow by rank. */
const firstMerged = 512

/** The texts that stand for the two in captions (OpenAI's release writes them in another way). */
export const startOfTextToken = "<start_of_text>"
export const endOfTextToken = "<end_of_text>"

export interface Vocabulary {
  /** Byte value -> token id. */
  readonly byteIds: Uint16Array
  readonly merges: Merges
}

let vocabulary: Vocabulary | null = null

/** The tables. Building them takes some milliseconds, at the first call. */
export function loadVocabulary(): Vocabulary {
  vocabulary ??= { byteIds: inverse(bytesById()), merges: new Merges(halvesOfMerges()) }
  return vocabulary
}

/** Which two tokens become one. */
export class Merges {
  /** Ranks + 1 by a hash of the two halves; 0 is free, and the next slot is for whoever finds one taken. */
  private readonly slots = new Uint16Array(1 << 17)

  /** @param halves ids of the two halves of each merge, by rank */
  constructor(readonly halves: Uint16Array) {
    for (let rank = 0; rank < halves.length / 2; rank++) {
      this.slots[this.slotOf(halves[2 * rank]!, halves[2 * rank + 1]!)] = rank + 1
    }
  }

  /** Id of the token that the two become; lower ids merge first. */
  merged(left: number, right: number): number | undefined {
    const found = this.slots[this.slotOf(left, right)]!
    return found === 0 ? undefined : firstMerged + found - 1
  }

  /** The slot that holds the pair, or the free one where it would be. */
  private slotOf(left: number, right: number): number {
    const { slots, halves } = this
    const last = slots.length - 1
    let slot = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 15
    for (; slots[slot] !== 0; slot = (slot + 1) & last) {
      const at = 2 * (slots[slot]! - 1)
      if (halves[at] === left && halves[at + 1] === right) break
    }
    return slot
  }
}

let tokenBytes: readonly Uint8Array[] | null = null

/** Token id -> the bytes it stands for; a token that ends a word ends with `</w>`. */
export function loadTokenBytes(): readonly Uint8Array[] {
  tokenBytes ??= buildTokenBytes()
  return tokenBytes
}

function buildTokenBytes(): Uint8Array[] {
  const encoder = new TextEncoder()
  const ends = encoder.encode(endOfWord)
  const bytes = bytesById()
  const tokens: Uint8Array[] = [...bytes.map((byte) => [byte]), ...bytes.map((byte) => [byte, ...ends])].map((of) =>
    Uint8Array.of(...of),
  )
  eachMerge((left, right) => tokens.push(joined(tokens[left]!, tokens[right]!)))
  return [...tokens, ...[startOfTextToken, endOfTextToken].map((token) => encoder.encode(token))]
}

function joined(left: Uint8Array, right: Uint8Array): Uint8Array {
  const both = new Uint8Array(left.length + right.length)
  both.set(left)
  both.set(right, left.length)
  return both
}

/** Token id -> text in CLIP's byte symbols, as a tokenizer.json lists them. */
export function tokenTexts(): string[] {
  const symbols = bytesById().map(symbolOf)
  const tokens = [...symbols, ...symbols.map((symbol) => symbol + endOfWord)]
  eachMerge((left, right) => tokens.push(tokens[left]! + tokens[right]!))
  return [...tokens, startOfTextToken, endOfTextToken]
}

/** "left right", those that merge first before the others. */
export function mergeTexts(tokens: readonly string[]): string[] {
  const texts: string[] = []
  eachMerge((left, right) => texts.push(`${tokens[left]} ${tokens[right]}`))
  return texts
}

/** By rank. */
function eachMerge(use: (left: number, right: number) => void): void {
  const { halves } = loadVocabulary().merges
  for (let i = 0; i < halves.length; i += 2) use(halves[i]!, halves[i + 1]!)
}

function halvesOfMerges(): Uint16Array {
  const bytes = atob(mergeTable)
  const halves = new Uint16Array(bytes.length / 2)
  for (let i = 0; i < halves.length; i++) halves[i] = bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8)
  return halves
}

/** Id -> byte: first those that are printable in Latin-1, then the others. */
function bytesById(): number[] {
  const all = Array.from({ length: 256 }, (_, byte) => byte)
  return [...all.filter(isPrintable), ...all.filter((byte) => !isPrintable(byte))]
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad)
}

/** A printable byte is its own character; the others have those from U+0100 on. */
function symbolOf(byte: number, id: number): string {
  return String.fromCharCode(isPrintable(byte) ? byte : 256 + id - printableBytes)
}

const printableBytes = 188

function inverse(values: readonly number[]): Uint16Array {
  const places = new Uint16Array(values.length)
  values.forEach((value, place) => {
    places[value] = place
  })
  return places
}
