/** What a calibration means, in words for people. */
import { counted } from "../../report/numbers.ts"
import type { Calibration, Verdict } from "./calibration.ts"

/** One sentence about where the divider is, for all results of a query. */
export function explainThreshold({ basis, hasDivider, threshold, searched }: Calibration): string {
  if (basis === "none")
    return "The index has too few pictures to say how unusual a score is, so nothing says which results are matches."
  if (!hasDivider)
    return "Results of a picture have no divider: z says how much more alike they are than pictures of the index are as a rule."
  const whose = basis === "pictures" ? "an unrelated query" : "a generic caption"
  return `A picture counts as a match from z ${threshold.toFixed(1)} on: above what ${whose} reaches with the best of ${counted(searched, "picture")}.`
}

/** One sentence about one result, whose verdict words may have lifted. */
export function explainScore(
  { basis, threshold }: Calibration,
  { cosine, z, verdict }: { readonly cosine: number; readonly z: number | null; readonly verdict: Verdict | null },
): string {
  const start = `Cosine ${cosine.toFixed(3)}`
  if (basis === "none" || z === null) return `${start}; nothing to compare it with.`
  const side = z < 0 ? "below" : "above"
  const against = {
    captions: "what generic captions score on this picture",
    pictures: "what this query scores on pictures of the index",
    "captions and pictures": "what this query scores on other pictures, and other captions on this picture",
  }[basis]
  const matches = z > threshold ? ": a match" : ": a match with its words"
  const end = verdict === null ? "" : verdict === "weak" ? ": a weaker match" : matches
  return `${start} is ${Math.abs(z).toFixed(1)} standard deviations ${side} ${against}${end}.`
}
