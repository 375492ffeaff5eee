/**
 * Words of a query in paths and captions (FTS5). A file's score is the share of the query's words that it has, each with its
 * weight by BM25's idf: paths and captions are short, so that how often they say a word, and how long they are, says little
 * (BM25 with k1 = 0). 1: all of the words. Weights are those of the first page on all pages.
 */
import type { IndexStore } from "../../store/index-store.ts"
import { dataVersion } from "./data-version.ts"
import { numbersIn } from "./mask.ts"

export interface WordWeight {
  readonly word: string
  /** All together 1, words that no file has among them; 0: the word is in too many files to tell them apart. */
  readonly weight: number
}

/** Contents with a word of the query: by row, the share and the words. */
export interface WordHits {
  readonly rows: ReadonlyMap<number, RowWords>
  readonly weights: readonly WordWeight[]
  readonly notes: readonly string[]
}

export interface RowWords {
  readonly score: number
  readonly matched: readonly string[]
}

export const noWords: WordHits = { rows: new Map(), weights: [], notes: [] }

/** A word of more files is not looked for: it says little, and each file takes a microsecond. */
const mostFilesOfWord = 20_000

const mostWords = 16

/** The words of the texts that are looked for, as the index's tokenizer cuts them, nearly: each once. */
export function wordsOf(terms: readonly { readonly weight: number; readonly text?: string }[]): string[] {
  const texts = terms.flatMap(({ weight, text }) => (text !== undefined && weight > 0 ? [text] : []))
  const words = texts.flatMap((text) => text.toLowerCase().match(/[\p{L}\p{N}\p{M}\p{Co}]+/gu) ?? [])
  return [...new Set(words)].filter((word) => !stopWords.has(word)).slice(0, mostWords)
}

/** They are in captions and say nothing of them. */
const stopWords = new Set("a an and at by for from in is of on or the to with photo picture image".split(" "))

/** Words that a process keeps, as long as the index is as it was. */
export class KeptWords {
  private readonly kept = new Map<string, Uint32Array>()
  private version = Number.NaN

  /** Files with a word, as pairs [file, content], one more than `mostFilesOfWord` at most. Within a transaction. */
  files(store: IndexStore, word: string, lastFile: number): Uint32Array {
    const version = dataVersion(store)
    if (version !== this.version || this.kept.size >= mostKept) this.kept.clear()
    this.version = version
    const key = `${lastFile} ${word}`
    const found = this.kept.get(key) ?? filesOfWord(store, word, lastFile)
    this.kept.set(key, found)
    return found
  }
}

/** A word has 160 KB at most. */
const mostKept = 256

interface State {
  readonly store: IndexStore
  /** Files above it are not looked at. */
  readonly lastFile: number
  readonly kept: KeptWords
}

/** Within a transaction. @param files how many there are, nearly */
export function findWords(state: State, words: readonly string[], files: number): WordHits {
  const counts = words.map((word) => filesIn(state, word).length / 2)
  const usable = counts.map((count) => count <= mostFilesOfWord)
  const idfs = counts.map((count) => Math.log(1 + (files - Math.min(count, files) + 0.5) / (count + 0.5)))
  const total = idfs.reduce((sum, idf, i) => sum + (usable[i] ? idf : 0), 0)
  const weights = words.map((word, i) => ({ word, weight: usable[i] && total > 0 ? idfs[i]! / total : 0 }))
  const common = words.filter((_, i) => !usable[i])
  const limit = mostFilesOfWord.toLocaleString("en")
  const notes =
    common.length === 0 ? [] : [`in more than ${limit} paths or captions, and not looked for: ${common.join(", ")}`]
  return { ...wordHits(state, weights), notes }
}

/** With weights that are known. Within a transaction. */
export function wordHits(state: State, weights: readonly WordWeight[]): WordHits {
  const [bitsOfFile, contents] = [new Map<number, number>(), new Map<number, number>()]
  weights.forEach(({ word, weight }, i) => {
    const files = weight > 0 ? filesIn(state, word) : none
    for (let at = 0; at < files.length; at += 2) {
      bitsOfFile.set(files[at]!, (bitsOfFile.get(files[at]!) ?? 0) | (1 << i))
      contents.set(files[at]!, files[at + 1]!)
    }
  })
  return { rows: rowsOf(bitsOfFile, contents, weights), weights, notes: [] }
}

const none = new Uint32Array(0)

function filesIn({ store, lastFile, kept }: State, word: string): Uint32Array {
  return kept.files(store, word, lastFile)
}

/** The best file of each content. */
function rowsOf(
  bitsOfFile: ReadonlyMap<number, number>,
  contents: ReadonlyMap<number, number>,
  weights: readonly WordWeight[],
): Map<number, RowWords> {
  const byBits = new Map<number, RowWords>()
  const rows = new Map<number, RowWords>()
  for (const [file, bits] of bitsOfFile) {
    const own = byBits.get(bits) ?? wordsOfBits(bits, weights)
    byBits.set(bits, own)
    const row = contents.get(file)! - 1
    const before = rows.get(row)
    if (!before || own.score > before.score) rows.set(row, own)
  }
  return rows
}

function wordsOfBits(bits: number, weights: readonly WordWeight[]): RowWords {
  const own = weights.filter((_, i) => bits & (1 << i))
  return {
    score: Math.min(
      1,
      own.reduce((sum, { weight }) => sum + weight, 0),
    ),
    matched: own.map(({ word }) => word),
  }
}

/** A phrase in quotes: nothing in it is an operator of FTS5. */
function matchText(word: string): string {
  return `"${word.replaceAll('"', '""')}"`
}

function filesOfWord(store: IndexStore, word: string, lastFile: number): Uint32Array {
  const sql = `SELECT group_concat(files.id || ',' || files.content) AS pairs
    FROM (SELECT rowid AS id FROM words WHERE words MATCH ? AND rowid <= ? LIMIT ${mostFilesOfWord + 1}) AS found
    CROSS JOIN files ON files.id = found.id`
  const pairs = store.row(sql, matchText(word), lastFile)!.pairs as string | null
  return pairs === null ? none : Uint32Array.from(numbersIn(pairs))
}
