/** How much there is in a body, told from its bytes before it is parsed: parsing and checking a million values takes minutes. */

const [quote, backslash, comma, bracket, brace] = [...'"\\,[{'].map((letter) => letter.charCodeAt(0))

/** About the values of a JSON text, by the commas and opening brackets outside of strings; counted to `most` + 1 at the most. */
export function jsonValues(bytes: Buffer, most: number): number {
  let count = 0
  for (let i = 0; i < bytes.length && count <= most; i++) {
    const byte = bytes[i]
    if (byte === quote) i = endOfString(bytes, i)
    else if (byte === comma || byte === bracket || byte === brace) count++
  }
  return count
}

/** Where the string that begins at `start` has its closing quote. */
function endOfString(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf(quote!, start + 1); end >= 0; end = bytes.indexOf(quote!, end + 1)) {
    let backslashes = 0
    while (bytes[end - 1 - backslashes] === backslash) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return bytes.length
}

/** Parts of a form, by its boundaries; counted to `most` + 1 at the most. 0: the type names no boundary. */
export function formParts(bytes: Buffer, type: string, most: number): number {
  const boundary = /boundary="?([^";]+)/i.exec(type)?.[1]
  if (boundary === undefined) return 0
  const line = `--${boundary}`
  let boundaries = 0
  for (let at = bytes.indexOf(line); at >= 0 && boundaries <= most + 1; at = bytes.indexOf(line, at + line.length))
    boundaries++
  // The last one ends the form.
  return Math.max(boundaries - 1, 0)
}
