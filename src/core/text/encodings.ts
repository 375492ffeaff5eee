/**
 * The encodings in which UTF-8 is misread, in the order in which ftfy 6.3.1 tries them. Bytes are strings of characters
 * below U+0100 here, so that regular expressions can search them.
 */

/** Bytes 80 to FF, sixteen in a row; a space is the character that Latin-1 has there. */
const upperHalves = {
  "latin-1": [],
  "windows-1252": ["€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž ", " ‘’“”•–—˜™š›œ žŸ"],
  "windows-1251": [
    "ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏ",
    "ђ‘’“”•–— ™љ›њќћџ",
    " ЎўЈ Ґ  Ё Є    Ї",
    "  Ііґ   ё№є јЅѕї",
    "АБВГДЕЖЗИЙКЛМНОП",
    "РСТУФХЦЧШЩЪЫЬЭЮЯ",
    "абвгдежзийклмноп",
    "рстуфхцчшщъыьэюя",
  ],
  "windows-1250": [
    "€ ‚ „…†‡ ‰Š‹ŚŤŽŹ",
    " ‘’“”•–— ™š›śťžź",
    " ˇ˘Ł Ą    Ş    Ż",
    "  ˛ł     ąş Ľ˝ľż",
    "Ŕ  Ă ĹĆ Č Ę Ě  Ď",
    "ĐŃŇ  Ő  ŘŮ Ű  Ţ ",
    "ŕ  ă ĺć č ę ě  ď",
    "đńň  ő  řů ű  ţ˙",
  ],
  "windows-1253": [
    "€ ‚ƒ„…†‡ ‰ ‹    ",
    " ‘’“”•–— ™ ›    ",
    " ΅Ά            ―",
    "    ΄   ΈΉΊ Ό ΎΏ",
    "ΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟ",
    "ΠΡ ΣΤΥΦΧΨΩΪΫάέήί",
    "ΰαβγδεζηθικλμνξο",
    "πρςστυφχψωϊϋόύώ ",
  ],
  "windows-1254": [
    "€ ‚ƒ„…†‡ˆ‰Š‹Œ   ",
    " ‘’“”•–—˜™š›œ  Ÿ",
    "                ",
    "                ",
    "                ",
    "Ğ            İŞ ",
    "                ",
    "ğ            ış ",
  ],
  "windows-1257": [
    "€ ‚ „…†‡ ‰ ‹ ¨ˇ¸",
    " ‘’“”•–— ™ › ¯˛ ",
    "        Ø Ŗ    Æ",
    "        ø ŗ    æ",
    "ĄĮĀĆ  ĘĒČ ŹĖĢĶĪĻ",
    "ŠŃŅ Ō   ŲŁŚŪ ŻŽ ",
    "ąįāć  ęēč źėģķīļ",
    "šńņ ō   ųłśū żž˙",
  ],
  "iso-8859-2": [
    "                ",
    "                ",
    " Ą˘Ł ĽŚ  ŠŞŤŹ ŽŻ",
    " ą˛ł ľśˇ šşťź˝žż",
    "Ŕ  Ă ĹĆ Č Ę Ě  Ď",
    "ĐŃŇ  Ő  ŘŮ Ű  Ţ ",
    "ŕ  ă ĺć č ę ě  ď",
    "đńň  ő  řů ű  ţ˙",
  ],
  macroman: [
    "ÄÅÇÉÑÖÜáàâäãåçéè",
    "êëíìîïñóòôöõúùûü",
    "†°  §•¶ß® ™´¨≠ÆØ",
    "∞ ≤≥¥ ∂∑∏π∫ªºΩæø",
    "¿¡¬√ƒ≈∆«»…\xa0ÀÃÕŒœ",
    "–—“”‘’÷◊ÿŸ⁄€‹›ﬁﬂ",
    "‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ",
    "\uf8ffÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ",
  ],
  cp437: [
    "ÇüéâäàåçêëèïîìÄÅ",
    "ÉæÆôöòûùÿÖÜ¢£¥₧ƒ",
    "áíóúñÑªº¿⌐¬½¼¡«»",
    "░▒▓│┤╡╢╖╕╣║╗╝╜╛┐",
    "└┴┬├─┼╞╟╚╔╩╦╠═╬╧",
    "╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀",
    "αßΓπΣσµτΦΘΩδ∞φε∩",
    "≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\xa0",
  ],
} as const satisfies Record<string, readonly string[]>

export type EncodingName = keyof typeof upperHalves

export const encodings = Object.keys(upperHalves) as EncodingName[]

/** Windows's encodings are read loosely: where one has no character, and for a character that was lost (U+FFFD). */
export function isLoose(encoding: EncodingName): boolean {
  return encoding.startsWith("windows")
}

/** The byte that stands for U+FFFD in a loose encoding. */
const lostByte = "\x1a"

/** The characters of bytes `first` to `last`, all above 7F. */
export function charactersOf(encoding: EncodingName, first: number, last: number): string[] {
  const rows = Array.from(upperHalves[encoding].join(""))
  return Array.from({ length: last - first + 1 }, (_, i) => {
    const character = rows[first + i - 0x80] ?? " "
    return character === " " ? String.fromCharCode(first + i) : character
  })
}

/** C1 controls, and what Windows has in their places. */
export const c1Controls = charactersOf("windows-1252", 0x80, 0x9f)
  .map((character, i) => [String.fromCharCode(0x80 + i), character] as const)
  .filter(([control, character]) => control !== character)

const byteTables = new Map<EncodingName, ReadonlyMap<string, string>>()

/** Bytes of `text`; null where the encoding lacks one of its characters. */
export function encode(text: string, encoding: EncodingName): string | null {
  const table = byteTables.get(encoding) ?? byteTable(encoding)
  byteTables.set(encoding, table)
  let bytes = ""
  for (const character of text) {
    const byte = table.get(character)
    if (byte === undefined) return null
    bytes += byte
  }
  return bytes
}

function byteTable(encoding: EncodingName): Map<string, string> {
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte))
  const characters = [...bytes.slice(0, 0x80), ...charactersOf(encoding, 0x80, 0xff)]
  if (isLoose(encoding)) characters[lostByte.charCodeAt(0)] = "\ufffd"
  return new Map(bytes.map((byte, i) => [characters[i]!, byte]))
}

/**
 * UTF-8, and its other shapes: pairs of surrogates (CESU-8) and Java's U+0000, for the last byte of either of which ftfy
 * takes a line break at the end, too. TextDecoder knows neither, and takes 10 microseconds to say that bytes are not UTF-8.
 */
const sequence = new RegExp(
  [
    "[\0-\x7f]+",
    "[\xc2-\xdf][\x80-\xbf]",
    "\xe0[\xa0-\xbf][\x80-\xbf]",
    "[\xe1-\xec\xee\xef][\x80-\xbf]{2}",
    "\xed[\x80-\x9f][\x80-\xbf]",
    "\xf0[\x90-\xbf][\x80-\xbf]{2}",
    "[\xf1-\xf3][\x80-\xbf]{3}",
    "\xf4[\x80-\x8f][\x80-\xbf]{2}",
    "\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf](?:[\x80-\xbf]|\n$)",
    "\xc0(?:\x80|\n$)",
  ].join("|"),
  "y",
)

/** Text of UTF-8; null where it is not. */
export function decodeUtf8(bytes: string): string | null {
  let text = ""
  for (let at = 0; at < bytes.length; ) {
    sequence.lastIndex = at
    const found = sequence.exec(bytes)?.[0]
    if (found === undefined) return null
    text += found < "\x80" ? found : decodeSequence(found)
    at += found.length
  }
  return text
}

/** The two halves of a pair of surrogates are sequences of three bytes. */
function decodeSequence(bytes: string): string {
  if (bytes.length === 6) return decodeSequence(bytes.slice(0, 3)) + decodeSequence(bytes.slice(3))
  const [first, ...others] = Array.from(bytes, (byte) => byte.charCodeAt(0)) as [number, ...number[]]
  if (first === 0xc0) return "\0"
  return String.fromCodePoint(
    others.reduce((code, byte) => (code << 6) | (byte & 0x3f), first & (0x7f >> bytes.length)),
  )
}
