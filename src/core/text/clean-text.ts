/** The text cleaning in front of CLIP's tokenizer (open_clip `tokenizer.py`, "lower"). */
import { fixText, isPlain } from "./fix-text.ts"
import { unescapeHtml } from "./html-entities.ts"

/** What Python calls whitespace: not U+FEFF; its other separators, U+001C to U+001F and U+0085, were repaired before. */
const whitespace = /[^\S\ufeff]+/g

/** Repairs what ftfy repairs, unescapes entities twice (as many captions are), collapses whitespace, trims, lower-cases. */
export function cleanText(text: string): string {
  if (isPlain(text)) return text.trim().replace(/ {2,}/g, " ").toLowerCase()
  const unescaped = unescapeHtml(unescapeHtml(fixText(text)))
  return unescaped.replace(whitespace, " ").replace(/^ | $/g, "").toLowerCase()
}
