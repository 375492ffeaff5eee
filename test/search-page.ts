/** Pages of results without a search. */
import type { CheckedHit, CheckedPage } from "../src/search/show/hit-files.ts"

/** Matches first, then weaker hits; the paths are those given. The index has a thousand pictures. */
export function pageOf(matches: readonly string[], weak: readonly string[] = []): CheckedPage {
  const hits = [...matches, ...weak].map((path, i) => hitOf(path, i, i < matches.length))
  return {
    ...{ hits, matches: matches.length, cursor: null, pictures: 1000, searched: 1000, filtered: null },
    ...{ elapsedMs: { scan: 3.5 }, notes: [] },
  }
}

export function hitOf(path: string, place: number, isMatch = true): CheckedHit {
  const cosine = (isMatch ? 0.3125 : 0.1875) - place / 1024
  return {
    ...{ rank: place + 1, score: cosine, cosine, z: isMatch ? 6.25 : 1.5, words: null },
    ...{ verdict: isMatch ? "match" : "weak", paths: [path], missing: [], width: 640, height: 480 },
    ...{ taken: "2023-07-14T18:02:11", camera: null, caption: null, position: place },
  }
}

/** As a query of pictures alone gives it. */
export function undividedPage(paths: readonly string[]): CheckedPage {
  const page = pageOf(paths)
  return { ...page, matches: null, hits: page.hits.map((hit) => ({ ...hit, verdict: null })) }
}
