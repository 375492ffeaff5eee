/** What gave the scores of a page, as text for people. */
import { decimal } from "../../report/numbers.ts"
import type { Explanation, HitExplanation } from "../query/search-page.ts"

/** Lines with a break at the end of each. @param isShown which hits have one */
export function explanationText(
  { text, words, wordWeight, hits }: Explanation,
  isShown: (hit: HitExplanation) => boolean = () => true,
): string {
  const shares = words.map(({ word, weight }) => `${word} ${decimal(weight * wordWeight, 3)}`)
  const lines = [
    text,
    ...(shares.length > 0
      ? [`Words add to the cosine: ${shares.join(", ")}; together ${decimal(wordWeight, 3)}.`]
      : []),
    ...hits.filter(isShown).map(hitText),
  ]
  return lines.map((line) => `${line}\n`).join("")
}

/** '1: cosine 0.313 + words 0.100 = 0.413; "red car" 0.313. Cosine 0.313 is ...' */
function hitText({ rank, cosine, words, score, terms, text }: HitExplanation): string {
  const sum = words === null ? "" : ` + words ${decimal(words, 3)} = ${decimal(score, 3)}`
  const parts = terms.map(
    (each) => `${each.weight === 1 ? "" : `${each.weight} x `}${each.term} ${decimal(each.cosine, 3)}`,
  )
  return `${rank}: cosine ${decimal(cosine, 3)}${sum}; ${parts.join("; ")}. ${text}`
}
