/** What a user writes into the two fields. */

/** A label in each line, or between commas; each once. */
export function labelsIn(text: string): string[] {
  const words = text.split(/[\n,]/).map((word) => word.trim())
  return [...new Set(words.filter((word) => word !== ""))]
}

/** A prompt in each line; `{}` is the label. */
export function templatesIn(text: string): string[] {
  const lines = text.split("\n").map((line) => line.trim())
  return [...new Set(lines.filter((line) => line !== ""))]
}
