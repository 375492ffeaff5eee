/** Ranked rows to a page: verdicts, the divider, and what gave each score. */
import type { Background } from "../calibrate/background.ts"
import { type Calibration, calibrationOf } from "../calibrate/calibration.ts"
import { explainScore, explainThreshold } from "../calibrate/explain.ts"
import type { Scanner } from "../scan/scanner.ts"
import type { IndexSettings } from "../store/index-store.ts"
import type { EncodedQuery } from "./encode-query.ts"
import { queryText } from "./parse/parse-query.ts"
import type { RankedRow } from "./rows/find-hits.ts"
import type { FoundContent } from "./rows/look-up.ts"
import { isFiltering, type Mask } from "./rows/mask.ts"
import type { WordHits } from "./rows/words.ts"
import type { Explanation, SearchHit, SearchPage } from "./search-page.ts"
import type { SearchRequest, SearchTerm, Steps } from "./search-request.ts"

export interface Answer {
  readonly rows: readonly RankedRow[]
  readonly contents: ReadonlyMap<number, FoundContent>
  readonly query: EncodedQuery
  readonly count: number
  readonly mask: Mask | null
  readonly words: WordHits
  readonly wordWeight: number
  readonly background: Background
  readonly scanner: Scanner
  readonly firstRank: number
  readonly cursor: string | null
  readonly request: SearchRequest
  readonly clock: Steps
  /** Where vectors are mapped ones of another model. */
  readonly mapped: IndexSettings["mapped"] | null
}

/**
 * Matches come first on each page. z depends on the picture too, so that a weaker hit may have the higher score, and a page may
 * have matches where one before it had weaker hits.
 */
export async function pageOf(answer: Answer): Promise<SearchPage> {
  const { rows, contents, query, count, mask, request, background, scanner, words, wordWeight } = answer
  const searched = mask?.left ?? count
  const calibration = calibrationOf(query.vector, query.kind, background, searched, request)
  const found = rows.filter(({ position }) => contents.has(position))
  const vectors = await scanner.read(Uint32Array.from(found, ({ position }) => position))
  const { dim } = scanner
  const hits = found.map((row, i): Omit<SearchHit, "rank"> => {
    const vector = vectors.subarray(i * dim, (i + 1) * dim)
    const z = calibration.zOf(row.cosine, vector)
    const own = words.rows.get(row.position)
    const verdict = calibration.verdict(calibration.basis === "none" ? z : calibration.zOf(row.score, vector))
    const { bytes: _, sharpness: __, ...content } = contents.get(row.position)!
    return {
      ...{ score: row.score, cosine: row.cosine, z: Number.isNaN(z) ? null : z, verdict, ...content },
      words: words.weights.length === 0 || wordWeight === 0 ? null : (own ?? { score: 0, matched: [] }),
    }
  })
  const matching = hits.filter(({ verdict }) => verdict === "match")
  const weak = hits.filter(({ verdict }) => verdict === "weak")
  const shown = request.onlyMatches ? matching : [...matching, ...weak]
  const ranked = shown.map((hit, i) => ({ rank: answer.firstRank + i, ...hit }))
  const explanation = request.explain ? await explained(answer, calibration, ranked) : null
  answer.clock.step("calibrate")
  return {
    ...{ hits: ranked, matches: matching.length, cursor: answer.cursor, searched },
    filtered: isFiltering(request.filters ?? {}) ? searched : null,
    elapsedMs: answer.clock.elapsed,
    notes: [
      ...words.notes,
      ...(answer.mapped ? [mappedNote(answer.mapped)] : []),
      ...(request.onlyMatches && weak.length > 0 ? [`${weak.length} weaker left out`] : []),
    ],
    ...(explanation && { explanation }),
  }
}

function mappedNote({ from }: NonNullable<Answer["mapped"]>): string {
  return `vectors are mapped from ${from}, an approximation: \`mobileclip index migrate\` encodes the pictures`
}

/** Pages that follow each other as one. */
export function joinPages(pages: readonly SearchPage[]): SearchPage {
  const [first, last] = [pages[0]!, pages.at(-1)!]
  const strong = pages.flatMap(({ hits, matches }) => hits.slice(0, matches))
  const weak = pages.flatMap(({ hits, matches }) => hits.slice(matches))
  const firstRank = first.hits[0]?.rank ?? 1
  const newRanks = new Map([...strong, ...weak].map(({ position }, i) => [position, firstRank + i]))
  const positions = new Map(pages.flatMap(({ hits }) => hits.map(({ rank, position }) => [rank, position])))
  const explained = pages.flatMap(({ explanation }) => explanation?.hits ?? [])
  const rankOf = (rank: number) => newRanks.get(positions.get(rank)!)!
  const reranked = explained.map((hit) => ({ ...hit, rank: rankOf(hit.rank) })).sort((a, b) => a.rank - b.rank)
  return {
    ...first,
    hits: [...strong, ...weak].map((hit) => ({ ...hit, rank: newRanks.get(hit.position)! })),
    matches: strong.length,
    cursor: last.cursor,
    notes: [...new Set(pages.flatMap(({ notes }) => notes))],
    ...(first.explanation && { explanation: { ...first.explanation, hits: reranked } }),
  }
}

async function explained(answer: Answer, calibration: Calibration, hits: readonly SearchHit[]): Promise<Explanation> {
  const { query, scanner, words, wordWeight } = answer
  const positions = Uint32Array.from(hits, ({ position }) => position)
  const cosines = await Promise.all(query.terms.map(({ vector }) => scanner.scores(vector, positions)))
  const { basis, threshold } = calibration
  return {
    ...{ basis, threshold: Number.isFinite(threshold) ? threshold : null, text: explainThreshold(calibration) },
    ...{ wordWeight, words: words.weights },
    hits: hits.map(({ rank, cosine, z, score, words: own }, i) => ({
      ...{ rank, cosine, z, score, words: own && own.score * wordWeight },
      terms: query.terms.map(({ term }, t) => ({ term: termText(term), weight: term.weight, cosine: cosines[t]![i]! })),
      text: explainScore(calibration, cosine, z ?? Number.NaN),
    })),
  }
}

function termText(term: SearchTerm): string {
  return "bytes" in term ? `a picture of ${term.bytes.length} bytes` : queryText([{ ...term, weight: 1 }])
}
