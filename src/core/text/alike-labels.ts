/**
 * Labels that a model cannot tell apart, because their prompts are the same tokens: they differ only after the end of its
 * context, where a prompt is cut, or in what its tokenizer ignores, such as upper case.
 */
import { oneLine } from "../errors.ts"
import { cleanText } from "./clean-text.ts"
import { fillTemplate } from "./prompts.ts"
import { Tokenizer } from "./tokenizer.ts"

/** What the text towers of the family read. */
const usualContext = 77

/** A line for each group of labels whose prompts are the same to a model; none where all differ. */
export function alikeLabels(
  labels: readonly string[],
  templates: readonly string[],
  contextLength = usualContext,
): string[] {
  const tokensOf = tokensWithin(contextLength)
  let alike = [labels.map((_, i) => i)]
  // Labels that differ in one template are told apart, so that the next ones are asked for few.
  for (const template of templates)
    alike = alike.flatMap((group) => alikeIn(group, (i) => tokensOf(fillTemplate(template, labels[i]!))))
  return alike.sort(([a], [b]) => a! - b!).map((group) => lineOf(group, labels, contextLength))
}

/** The parts of a group that have the same key, without those that are alone. */
function alikeIn(group: readonly number[], keyOf: (label: number) => string): number[][] {
  const parts = new Map<string, number[]>()
  for (const label of group) {
    const key = keyOf(label)
    const part = parts.get(key)
    if (part) part.push(label)
    else parts.set(key, [label])
  }
  return [...parts.values()].filter(({ length }) => length > 1)
}

/** What a model reads of a prompt. Only one that may be too long is made into tokens, because their tables take long to make. */
function tokensWithin(contextLength: number): (prompt: string) => string {
  let tokenizer: Tokenizer | null = null
  return (prompt) => {
    const text = cleanText(prompt)
    // A token has at least one byte; two are start and end of text.
    if (new TextEncoder().encode(text).length <= contextLength - 2) return text
    tokenizer ??= new Tokenizer()
    return tokenizer.encodeBatch([prompt], contextLength).ids.join()
  }
}

/** How many labels a line names. */
const mostNamed = 4

function lineOf(group: readonly number[], labels: readonly string[], contextLength: number): string {
  const named = group.slice(0, mostNamed).map((i) => `${i + 1} (${shortened(labels[i]!)})`)
  const more = group.length > mostNamed ? `, and ${group.length - mostNamed} more` : ""
  return (
    `labels ${named.join(", ")}${more} are the same to the model and get equal scores: ` +
    `it ignores case and reads ${contextLength} tokens of a prompt`
  )
}

/** Both ends of a label: long ones often differ only in the last words. */
function shortened(label: string): string {
  return label.length <= 80
    ? `"${oneLine(label)}"`
    : `"${oneLine(label.slice(0, 40), 40)} ... ${oneLine(label.slice(-30).replace(/^\S*\s+/, ""), 40)}"`
}
