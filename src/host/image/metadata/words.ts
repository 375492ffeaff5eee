/** Captions and keywords as people wrote them, without what cameras and programs put in their place. */
const longestCaption = 2000
const longestKeyword = 200
const mostKeywords = 1000

/** What cameras and programs write of their own accord. */
const useless =
  /^(olympus (digital camera|imaging corp\.?)|samsung( camera pictures)?|sony dsc|dsc|kodak digital still camera|minolta digital camera|konica minolta digital camera|digital camera|default|untitled|exif_jpeg_picture|jpeg|image|picture|photo|screenshot|user comments?|nikon|canon|sanyo digital camera|dcim\S*|[a-z]{3}_?\d{3,}(\.\w{3,4})?)$/i

/** The first that says something; null where none does. */
export function captionFrom(candidates: readonly unknown[]): string | null {
  for (const candidate of candidates) {
    const text = cleaned(candidate, longestCaption)
    if (text !== "" && !useless.test(text)) return text
  }
  return null
}

/** Those of several lists or single words, each once. */
export function keywordsFrom(lists: readonly unknown[]): readonly string[] {
  const words = new Set<string>()
  for (const word of lists.flat()) {
    const text = cleaned(word, longestKeyword)
    if (text !== "" && words.size < mostKeywords) words.add(text)
  }
  return [...words]
}

/** In one line, as Unicode's composed letters, without control characters; "" for what is not a text. */
function cleaned(value: unknown, longest: number): string {
  if (typeof value !== "string") return ""
  // The text of a field ends at the first NUL.
  const [text] = value.slice(0, 4 * longest).split("\0") as [string]
  const line = text
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim()
    .normalize("NFC")
  return line.slice(0, longest).replace(/[\ud800-\udbff]$/, "")
}
