/** Ranked rows to a page: verdicts, the divider, and what gave each score. */
import type { Calibration } from "../calibrate/calibration.ts"
import { explainScore, explainThreshold } from "../calibrate/explain.ts"
import type { Scanner } from "../scan/scanner.ts"
import type { IndexSettings } from "../store/index-store.ts"
import type { EncodedQuery } from "./encode-query.ts"
import { queryText } from "./parse/parse-query.ts"
import type { RankedRow } from "./rows/find-hits.ts"
import type { FoundContent } from "./rows/look-up.ts"
import { isFiltering } from "./rows/mask.ts"
import type { WordHits } from "./rows/words.ts"
import { dividerPlace, type Explanation, type SearchHit, type SearchPage } from "./search-page.ts"
import type { SearchRequest, SearchTerm, Steps } from "./search-request.ts"

export interface Answer {
  readonly rows: readonly RankedRow[]
  readonly contents: ReadonlyMap<number, FoundContent>
  readonly query: EncodedQuery
  /** Those that the index has. */
  readonly pictures: number
  readonly words: WordHits
  readonly wordWeight: number
  readonly calibration: Calibration
  /** Pictures that were compared. */
  readonly searched: number
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
  const { calibration, request, pictures, searched, clock, cursor } = answer
  const hits = await hitsOf(answer)
  const weak = hits.filter(({ verdict }) => verdict === "weak")
  const before = hits.filter(({ verdict }) => verdict !== "weak")
  const shown = request.onlyMatches ? before : [...before, ...weak]
  const ranked = shown.map((hit, i) => ({ rank: answer.firstRank + i, ...hit }))
  const explanation = request.explain ? await explained(answer, ranked) : null
  clock.step("judge")
  return {
    ...{ hits: ranked, matches: calibration.hasDivider ? before.length : null, cursor, pictures, searched },
    filtered: isFiltering(request.filters ?? {}) ? searched : null,
    elapsedMs: clock.elapsed,
    notes: [...answer.words.notes, ...notesOf(answer, weak.length)],
    ...(explanation && { explanation }),
  }
}

/** In the order of their scores. */
async function hitsOf(answer: Answer): Promise<Omit<SearchHit, "rank">[]> {
  const { rows, contents, scanner, words, wordWeight, calibration } = answer
  const found = rows.filter(({ position }) => contents.has(position))
  const vectors = await scanner.read(Uint32Array.from(found, ({ position }) => position))
  const { dim } = scanner
  const areWordsScored = words.weights.length > 0 && wordWeight > 0
  return found.map(({ position, score, cosine }, i) => {
    const vector = vectors.subarray(i * dim, (i + 1) * dim)
    const z = calibration.zOf(score, vector)
    const { bytes: _, sharpness: __, ...content } = contents.get(position)!
    return {
      ...{ score, cosine, z: Number.isNaN(z) ? null : z, verdict: calibration.verdict(z) },
      ...content,
      words: areWordsScored ? (words.rows.get(position) ?? { score: 0, matched: [] }) : null,
    }
  })
}

function notesOf({ mapped, request, calibration: { hasDivider } }: Answer, weak: number): string[] {
  return [
    ...(mapped
      ? [`vectors are mapped from ${mapped.from}, an approximation: \`mobileclip index migrate\` encodes the pictures`]
      : []),
    ...(request.onlyMatches && weak > 0 ? [`${weak} weaker left out`] : []),
    ...(request.onlyMatches && !hasDivider ? ["nothing says which of these are matches, so none was left out"] : []),
  ]
}

/** Pages that follow each other as one. */
export function joinPages(pages: readonly SearchPage[]): SearchPage {
  const [first, last] = [pages[0]!, pages.at(-1)!]
  const strong = pages.flatMap(({ hits }) => hits.slice(0, dividerPlace(hits)))
  const weak = pages.flatMap(({ hits }) => hits.slice(dividerPlace(hits)))
  const firstRank = first.hits[0]?.rank ?? 1
  const hits = [...strong, ...weak].map((hit, i) => ({ ...hit, rank: firstRank + i }))
  return {
    ...first,
    ...{ hits, matches: first.matches === null ? null : strong.length, cursor: last.cursor },
    notes: [...new Set(pages.flatMap(({ notes }) => notes))],
    ...(first.explanation && { explanation: { ...first.explanation, hits: joinExplained(pages, hits) } }),
  }
}

/** By their new ranks. */
function joinExplained(pages: readonly SearchPage[], hits: readonly SearchHit[]): Explanation["hits"] {
  const newRanks = new Map(hits.map(({ position, rank }) => [position, rank]))
  const positions = new Map(pages.flatMap((page) => page.hits.map(({ rank, position }) => [rank, position])))
  const explained = pages.flatMap(({ explanation }) => explanation?.hits ?? [])
  return explained
    .map((hit) => ({ ...hit, rank: newRanks.get(positions.get(hit.rank)!)! }))
    .sort((a, b) => a.rank - b.rank)
}

async function explained(answer: Answer, hits: readonly SearchHit[]): Promise<Explanation> {
  const { query, scanner, words, wordWeight, calibration } = answer
  const positions = Uint32Array.from(hits, ({ position }) => position)
  const vectors = await scanner.read(positions)
  const cosines = await Promise.all(query.terms.map(({ vector }) => scanner.scores(vector, positions)))
  const { basis, threshold, hasDivider } = calibration
  return {
    ...{ basis, threshold: hasDivider ? threshold : null, text: explainThreshold(calibration) },
    ...{ wordWeight, words: words.weights },
    hits: hits.map(({ rank, cosine, z, score, verdict, words: own }, i) => {
      const cosineZ = calibration.zOf(cosine, vectors.subarray(i * scanner.dim, (i + 1) * scanner.dim))
      return {
        ...{
          rank,
          cosine,
          z,
          cosineZ: Number.isNaN(cosineZ) ? null : cosineZ,
          score,
          words: own && own.score * wordWeight,
        },
        terms: query.terms.map(({ term }, t) => ({
          term: termText(term),
          weight: term.weight,
          cosine: cosines[t]![i]!,
        })),
        text: explainScore(calibration, { cosine, cosineZ, z, verdict }),
      }
    }),
  }
}

function termText(term: SearchTerm): string {
  return "bytes" in term ? `a picture of ${term.bytes.length} bytes` : queryText([{ ...term, weight: 1 }])
}
