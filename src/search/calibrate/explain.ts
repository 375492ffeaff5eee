/** What a calibration means, in words for people. */
import type { Calibration } from "./calibration.ts"

/** One sentence about where the divider is, for all results of a query. */
export function explainThreshold({ basis, threshold, searched }: Calibration): string {
  if (basis === "none")
    return "The index has too few pictures to say how unusual a score is, so all results count as matches."
  if (threshold === Number.NEGATIVE_INFINITY)
    return "Results of a picture have no divider: z says how much more alike they are than pictures of the index are as a rule."
  const whose = basis === "pictures" ? "an unrelated query" : "a generic caption"
  return `A picture counts as a match from z ${threshold.toFixed(1)} on: above what ${whose} reaches with the best of ${counted(searched)}.`
}

/** One sentence about one result. */
export function explainScore({ basis, threshold }: Calibration, cosine: number, z: number): string {
  const start = `Cosine ${cosine.toFixed(3)}`
  if (basis === "none" || Number.isNaN(z)) return `${start}; nothing to compare it with.`
  const side = z < 0 ? "below" : "above"
  const against = {
    captions: "what generic captions score on this picture",
    pictures: "what this query scores on pictures of the index",
    "captions and pictures": "what this query scores on other pictures, and other captions on this picture",
  }[basis]
  const verdict = threshold === Number.NEGATIVE_INFINITY ? "" : z > threshold ? ": a match" : ": a weaker match"
  return `${start} is ${Math.abs(z).toFixed(1)} standard deviations ${side} ${against}${verdict}.`
}

/** What is said in place of results, or above the weaker ones. */
export function noMatchText({ searched }: Calibration): string {
  return `Nothing matches: no picture stands out among the ${counted(searched)} that were searched.`
}

function counted(pictures: number): string {
  return pictures === 1 ? "1 picture" : `${pictures.toLocaleString("en")} pictures`
}
