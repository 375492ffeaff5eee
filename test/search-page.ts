/** Pages of results without a search. */
import type { SearchHit, SearchPage } from "../src/search/query/search-page.ts"

/** Matches first, then weaker hits; the paths are those given. */
export function pageOf(matches: readonly string[], weak: readonly string[] = []): SearchPage {
  const hits = [...matches, ...weak].map((path, i) => hitOf(path, i, i < matches.length))
  return {
    ...{ hits, matches: matches.length, cursor: null, searched: 1000, filtered: null },
    ...{ elapsedMs: { scan: 3.5 }, notes: [] },
  }
}

export function hitOf(path: string, place: number, isMatch = true): SearchHit {
  const cosine = (isMatch ? 0.3125 : 0.1875) - place / 1024
  return {
    ...{ rank: place + 1, score: cosine, cosine, z: isMatch ? 6.25 : 1.5, words: null },
    ...{ verdict: isMatch ? "match" : "weak", paths: [path], width: 640, height: 480 },
    ...{ taken: "2023-07-14T18:02:11", camera: null, caption: null, position: place },
  }
}
