/**
 * Whether a text holds characters that stand side by side in mojibake and hardly anywhere else: ftfy 6.3.1's heuristic
 * (`badness.py`), as a table of character classes and one of neighbours.
 */

/** Characters that occur in UTF-8 that was read in another encoding, by what they are elsewhere. */
const classes = {
  /** In many contexts, with nothing wrong. */
  common: "\xa0\xad·´–—―…’",
  c1: "\x80-\x9f",
  /** In hardly any text that is right. */
  bad: "¤¦¨ª¬¯¸ºƒˆˇ˘˛˜†‡‰⌐◊\ufffd",
  law: "§¶",
  currency: "¢£¥₧€",
  opening: "¡©«¿΄΅‘‚“„•‹\uf8ff",
  closing: "®»˝”›™",
  numeric: "±²³µ¹¼½¾×÷⁄№∂∆∏∑√∞∩∫≈≠≡≤≥",
  /** Letters that faces are made of. */
  kaomoji: "°Ò-ÖÙ-Üò-öø-üŌŐŪŲ",
  upperAccented: "À-ÑØÜÝĀĂĄĆČĎĐĒĖĘĚĞĢĪİĶĹĻĽŁŃŅŇŒŘŚŞŠŢŤŮŰŸŹŻŽҐ",
  lowerAccented: "ß-ñüāăąćčďđēėęěğģīįķĺļľłœŕśşšťźżžґﬁﬂ",
  /** Letters that may end a word. */
  upperCommon: "ÞΆΈΉΊΌΎΏΑ-ΫЁ-Я",
  lowerCommon: "ά-ωа-џ",
  box: "│┌┐┘├┤┬┼═-╬▀▄█▌▐-▓",
}

type ClassName = keyof typeof classes

/** One of the classes' characters, or of the others given. */
function anyOf(names: readonly ClassName[], others = ""): string {
  return `[${names.map((name) => classes[name]).join("")}${others}]`
}

const accented = ["lowerAccented", "upperAccented"] as const
const symbols = ["box", "opening", "closing", "currency", "numeric", "law"] as const
const arabic = anyOf(["common", "currency", "bad", "numeric", "opening"], "ŸŠ®°µ»")

/** What Python calls whitespace; U+0085 is bad by itself. */
const space = "(?:[^\\S\\ufeff]|[\\x1c-\\x1f])"

const patterns = [
  anyOf(["c1"]),
  anyOf(["bad", ...accented, ...symbols]) + anyOf(["bad"]),
  `[a-zA-Z]${anyOf(["lowerCommon", "upperCommon"])}${anyOf(["bad"])}`,
  anyOf(["bad"]) + anyOf([...accented, ...symbols]),
  anyOf(["lowerAccented", "lowerCommon", "box", "closing", "currency", "numeric"]) + anyOf(["upperAccented"]),
  anyOf(["box", "closing", "currency", "numeric"]) + anyOf(["lowerAccented"]),
  anyOf(["lowerAccented", "box", "closing"]) + anyOf(["currency"]),
  space + anyOf(["upperAccented"]) + anyOf(["currency"]),
  anyOf(["upperAccented", "box"]) + anyOf(["numeric", "law"]),
  anyOf([...accented, "box", "currency", "closing"]) + anyOf(["opening"]) + anyOf(["numeric"]),
  anyOf([...accented, "currency", "numeric", "box", "law"]) + anyOf(["closing"]) + anyOf(["opening"]),
  anyOf(["currency", "numeric", "box"]) + anyOf(["opening"]),
  `[a-z]${anyOf(["upperAccented"])}${anyOf(["opening", "currency"])}`,
  anyOf(["box"]) + anyOf(["kaomoji"]),
  anyOf([...accented, "currency", "numeric", "opening", "closing", "law"]) + anyOf(["box"]),
  anyOf(["box"]) + anyOf(["closing"]),
  `${anyOf(accented)}${anyOf(["opening", "closing"])}[\\p{L}\\p{N}_]`,
  "[Œœ][^A-Za-z]",
  `${anyOf(["upperAccented"])}°`,

  // windows-1252
  `[ÂÃÎÐ]${anyOf(["opening", "closing"], "€œŠš¢£Ÿž\xa0\xad®©°·»–—´")}`,
  "×[²³]",
  `(?:[ØÙ]${arabic}){2}`,
  "à[²µ¹¼½¾]",
  "Ã[\xa0¡]",
  `[a-z]${space}?[ÃÂ] `,
  "^[ÃÂ] ",
  `${anyOf(["closing"], "a-z.,?!")}Â${anyOf(["opening", "closing"], " ")}`,

  // Mac OS Roman
  "√[±∂†≠®™´≤≥¥µø]",
  "≈[°¢]",
  "‚Ä[ìîïòôúùû†°¢π]",
  "‚[âó][àä°ê]",

  // windows-1251
  "вЂ",
  `[ВГРС]${anyOf(["c1", "bad", "opening", "closing", "currency"], "°µ")}[ВГРС]`,
  "ГўВЂВ[^\\n][A-Za-z ]",

  // windows-1253
  "β€[™\xa0Ά\xad®°]",
  `[ΒΓΞΟ]${anyOf(["c1", "bad", "opening", "closing", "currency"], "°")}[ΒΓΞΟ]`,

  // windows-1257
  "ā€",
]

const badness = new RegExp(patterns.join("|"), "u")

export function isBad(text: string): boolean {
  return badness.test(text)
}
