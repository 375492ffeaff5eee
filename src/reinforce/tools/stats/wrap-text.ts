/** Lines of at most `width` columns, broken between words where there are any; wide characters take two columns. */
export function wrapText(text: string, width: number): string[] {
  const words = text
    .replaceAll(/[\p{C}\p{Z}\s]+/gu, " ")
    .trim()
    .split(" ")
  const lines: string[] = []
  let line = ""
  for (const word of words.flatMap((word) => pieces(word, width))) {
    const longer = line === "" ? word : `${line} ${word}`
    if (columnsOf(longer) <= width) line = longer
    else {
      lines.push(line)
      line = word
    }
  }
  return [...lines, line]
}

/** A word that is longer than a line, in parts. */
function pieces(word: string, width: number): string[] {
  const parts: string[] = [""]
  for (const character of word) {
    if (columnsOf(parts.at(-1)! + character) > width) parts.push("")
    parts[parts.length - 1] += character
  }
  return parts
}

function columnsOf(text: string): number {
  let columns = 0
  for (const character of text) columns += wide.test(character) ? 2 : 1
  return columns
}

const wide = /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Emoji_Presentation}/u
