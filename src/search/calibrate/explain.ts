/** What a calibration means, in words for people. */
import { counted } from "../../core/counted.ts"
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

interface ExplainedScore {
  readonly cosine: number
  /** z of the cosine alone; NaN without a basis. */
  readonly cosineZ: number
  /** z of the score, words included. */
  readonly z: number | null
  readonly verdict: Verdict | null
}

/** One sentence about one result: how unusual its cosine is, and what its words make of that. */
export function explainScore({ basis }: Calibration, { cosine, cosineZ, z, verdict }: ExplainedScore): string {
  const start = `Cosine ${cosine.toFixed(3)}`
  if (basis === "none" || z === null) return `${start}; nothing to compare it with.`
  const side = cosineZ < 0 ? "below" : "above"
  const against = {
    captions: "what generic captions score on this picture",
    pictures: "what this query scores on pictures of the index",
    "captions and pictures": "what this query scores on other pictures, and other captions on this picture",
  }[basis]
  const [own, all] = [cosineZ.toFixed(1), z.toFixed(1)]
  const words = own === all ? "" : `; with its words z is ${all}`
  const end = verdict === null ? "" : verdict === "weak" ? ": a weaker match" : ": a match"
  return `${start} is ${own.replace("-", "")} standard deviations ${side} ${against}${words}${end}.`
}
