/** How the suggested labels were chosen and what they were measured to be worth, in the words of the page and the terminal. */
import { integer, type PercentText, percent } from "../../report/numbers.ts"
import type { SuggestedLabels } from "./suggested-labels.ts"

/** Sentences. */
export function suggestionText(suggestion: SuggestedLabels, inPercent: PercentText = percent): string {
  const { labels, none, chosenOn } = suggestion
  const rest = none === null ? "" : `, and "${none}" for the rest`
  return `The labels ${labels.join(", ")}${rest} were chosen as those that the student tells apart best on ${integer(chosenOn)} pictures. On the other half of the pictures, which had no part in the choice, ${worthText(suggestion, inPercent)}.`
}

/** A clause: what is right on pictures that had no part in the choice. */
function worthText({ labels, none, named, others }: SuggestedLabels, inPercent: PercentText): string {
  const right = `the label is right for ${inPercent(named.right)} of ${integer(named.pictures)}`
  const chance = ` (always saying the same: ${inPercent(named.chance)})`
  if (others === null) return right + chance
  const about = ` that show ${labels.length === 1 ? "it" : "one of them"}`
  return none === null
    ? `${right}${about}${chance}; a picture of something else gets one of them all the same`
    : `${right}${about}${chance}, and "${none}" for ${inPercent(others.right)} of ${integer(others.pictures)} that do not`
}

/** What is said where there is no suggestion. */
export const noSuggestionText =
  "this student is good at nothing yet: on pictures that it has not seen it names neither shapes nor colours rightly for the most part"
