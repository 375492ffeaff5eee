/**
 * Words of a query in paths and captions (FTS5). A file's score is the share of the query's words that it has, each with its
 * weight by BM25's idf: paths and captions are short, so that how often they say a word, and how long they are, says little
 * (BM25 with k1 = 0). 1: all of the words. Weights are those of the first page on all pages.
 */
import type { IndexStore } from "../store/index-store.ts"

export interface WordWeight {
  readonly word: string
  /** All together 1; 0: the word is in too many files to tell them apart, or in none. */
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
export const mostFilesOfWord = 20_000

const mostWords = 16

/** The words of the texts that are looked for, as the index's tokenizer cuts them, nearly: each once. */
export function wordsOf(terms: readonly { readonly weight: number; readonly text?: string }[]): string[] {
  const texts = terms.flatMap(({ weight, text }) => (text !== undefined && weight > 0 ? [text] : []))
  const words = texts.flatMap((text) => text.toLowerCase().match(/[\p{L}\p{N}\p{M}\p{Co}]+/gu) ?? [])
  return [...new Set(words)].filter((word) => !stopWords.has(word)).slice(0, mostWords)
}

/** They are in captions and say nothing of them. */
const stopWords = new Set("a an and at by for from in is of on or the to with photo picture image".split(" "))

/** Within a transaction. */
export function findWords(store: IndexStore, words: readonly string[], files: number, lastFile: number): WordHits {
  const counts = words.map((word) => Math.min(filesOf(store, word, lastFile), mostFilesOfWord + 1))
  const idfs = counts.map((count) => Math.log(1 + (files - Math.min(count, files) + 0.5) / (count + 0.5)))
  const usable = counts.map((count) => count <= mostFilesOfWord)
  const total = idfs.reduce((sum, idf, i) => sum + (usable[i] ? idf : 0), 0)
  const weights = words.map((word, i) => ({ word, weight: usable[i] && total > 0 ? idfs[i]! / total : 0 }))
  const common = words.filter((_, i) => !usable[i])
  const notes =
    common.length === 0
      ? []
      : [
          `in more than ${mostFilesOfWord.toLocaleString("en")} paths or captions, and not looked for: ${common.join(", ")}`,
        ]
  return { ...wordHits(store, weights, lastFile), notes }
}

/** With weights that are known. Within a transaction. */
export function wordHits(store: IndexStore, weights: readonly WordWeight[], lastFile: number): WordHits {
  const bitsOfFile = new Map<number, number>()
  weights.forEach(({ word, weight }, i) => {
    if (weight > 0)
      for (const id of fileIds(store, word, lastFile)) bitsOfFile.set(id, (bitsOfFile.get(id) ?? 0) | (1 << i))
  })
  return { rows: rowsOf(store, bitsOfFile, weights), weights, notes: [] }
}

/** The best file of each content. */
function rowsOf(store: IndexStore, bitsOfFile: ReadonlyMap<number, number>, weights: readonly WordWeight[]) {
  const byBits = new Map<number, RowWords>()
  const rows = new Map<number, RowWords>()
  for (const [id, content] of contentsOf(store, [...bitsOfFile.keys()])) {
    const bits = bitsOfFile.get(id)!
    const own = byBits.get(bits) ?? wordsOfBits(bits, weights)
    byBits.set(bits, own)
    const before = rows.get(content - 1)
    if (!before || own.score > before.score) rows.set(content - 1, own)
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

/** A phrase in quotes: nothing in it is an operator of FTS5. The beginnings of words count from three letters on. */
function matchText(word: string): string {
  return `"${word.replaceAll('"', '""')}"`
}

function filesOf(store: IndexStore, word: string, lastFile: number): number {
  const sql = `SELECT count(*) AS count FROM (SELECT rowid FROM words WHERE words MATCH ? AND rowid <= ? LIMIT ${mostFilesOfWord + 1})`
  return Number(store.row(sql, matchText(word), lastFile)!.count)
}

function fileIds(store: IndexStore, word: string, lastFile: number): number[] {
  const sql = "SELECT json_group_array(rowid) AS ids FROM words WHERE words MATCH ? AND rowid <= ?"
  return JSON.parse(store.row(sql, matchText(word), lastFile)!.ids as string)
}

/** [file, content] of each. */
function contentsOf(store: IndexStore, ids: readonly number[]): [number, number][] {
  const sql = `SELECT json_group_array(json_array(files.id, content)) AS pairs
    FROM json_each(?) AS given JOIN files ON files.id = given.value`
  return ids.length === 0 ? [] : JSON.parse(store.row(sql, JSON.stringify(ids))!.pairs as string)
}
