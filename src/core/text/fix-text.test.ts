import { expect, test } from "vitest"
import { fixText } from "./fix-text.ts"

/** Expected texts are those of ftfy 6.3.1. */
function gives(cases: readonly (readonly [text: string, fixed: string])[]): void {
  for (const [text, fixed] of cases) expect(fixText(text), JSON.stringify(text)).toBe(fixed)
}

test("mojibake of each encoding that is tried", () => {
  gives([
    ["cafÃ© Å\x93uvre", "café œuvre"],
    ["lâ€™Ã©tÃ© Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "l'été привет"],
    ["вЂњРџСЂРёРІРµС‚вЂќ", '"Привет"'],
    ["â€śĹ‚ĂłdĹş naĂŻveâ€ť", '"łódź naïve"'],
    ["Ξ•Ξ»Ξ»Ξ¬Ξ΄Ξ± β€™", "Ελλάδα '"],
    ["TÃ¼rkÃ§e ÅŸeker ÄŸ", "Türkçe şeker ğ"],
    ["Å¾Ä…sis ā€“ Å«", "žąsis – ū"],
    ["ć\x97Ľć\x9cŹčŞ\x9e", "日本語"],
    ["d√©j√† vu‚Ä¶", "déjà vu…"],
    ["╨ƒ╤Ç╨╕╨▓╨╡╤é", "Привет"],
  ])
})

test("mojibake on top of mojibake, in parts of a text, and next to what is right", () => {
  gives([
    ["The Mona Lisa doesnÃƒÂ¢Ã¢â€šÂ¬Ã¢â€žÂ¢t", "The Mona Lisa doesn't"],
    ["日本 cafÃ© Ð – мир Ð¿", "日本 café Ð – мир п"],
    ["aé Ã©", "aé é"],
    ["SÃO ÂNGULO Å œuvre à £5 ¿qué? 50 °C (ಠ_ಠ)", "SÃO ÂNGULO Å œuvre à £5 ¿qué? 50 °C (ಠ_ಠ)"],
    ["‘é’ «à» 1º £5 — § 2", "'é' «à» 1º £5 — § 2"],
  ])
})

test("bytes that were lost or became spaces", () => {
  gives([
    ["voilÃ le cafÃ© Ã la", "voilà le café à la"],
    ["Ã la Ã quele Ã s fois Ã©", "à la àquele às fois é"],
    ["â€œquotedâ€\ufffd word", '"quoted\ufffd word'],
    ["Ã? l'Ã©tÃ©", "\ufffd l'été"],
  ])
})

test("UTF-8 in other shapes: CESU-8, Java's zero, and a line break for the last byte", () => {
  gives([
    ["\xed\xa0\xbd\xed\xb8\x80 \xc3\xa9", "😀 é"],
    ["Ã©\xc0\x80x", "éx"],
    ["Ã©À\n", "é"],
    ["Ã©\xed\xa0\xbd\xed\xb8", "Ã©\xed\xa0½\xed¸"],
  ])
})

test("characters that have a plainer form", () => {
  gives([
    ["“a” ‘b’ ‚c‛ „d‟ ʼ", "\"a\" 'b' 'c' \"d\" '"],
    ["ŉ ﬁ ﬄ ǆ Ĳ ﬅ", "'n fi ffl dž IJ ſt"],
    ["ＦＵＬＬ　１２３ ﾊﾟｶﾞ ￦ ￣", "FULL 123 パガ ₩  ̄"],
    ["e\u0301 \u1112\u1161\u11ab \u212b", "é 한 Å"],
    ["a\r\nb\rc\u2028d\u2029e\x85f", "a\nb\nc\nd\ne…f"],
    ["\x80 \x99 \x81", "€ ™ \x81"],
  ])
})

test("what is not shown goes", () => {
  gives([
    ["\ufeffa\0b\x07\x7f\u206a\ufff9\ufffc", "ab"],
    ["\x1b[1;31mred\x1b[0m \x1b［３２ｍgreen \x1b[٣mblue", "red green blue"],
    ["tab\tfeed\f \u200d \u202e", "tab\tfeed\f \u200d \u202e"],
    ["\ud83d and \ude00", "\ufffd and \ufffd"],
  ])
})

test("entities that end in a semicolon, but none from the first line on that has a <", () => {
  gives([
    ["&amp;amp;lt;b&gt; &notit; &copy 2020", "<b> &notit; &copy 2020"],
    ["P&EACUTE;REZ &SZLIG; &nTILDE; &AMP;", "PÉREZ SS &nTILDE; &"],
    ["&#39;&#x2019;&#128;&#xd83d;&#59;&#12x;", "''€\ufffd&#59;&#12x;"],
    ["&CounterClockwiseContourIntegral;", "&CounterClockwiseContourIntegral;"],
    ["&eacute;\n&eacute;<br>\n&eacute; cafÃ©", "é\n&eacute;<br>\n&eacute; café"],
  ])
})

test("references in the order of their depths, because what is resolved together can be mojibake", () => {
  gives([
    ["&amp;amp;amp;amp;eacute;Ľ&amp;amp;amp;amp;rsquo;", "鼒"],
    ["&amp;amp;amp;amp;amp;eacute;Ľ&amp;amp;amp;amp;rsquo;", "éĽ'"],
  ])
})

test("a long line is repaired a million characters at a time", () => {
  const long = "😀".repeat(999_999)
  expect(fixText(`${long}\r\nÃ©`)).toBe(`${long}\n\né`)
  const misread = "Ã©".repeat(600_000)
  expect(fixText(misread)).toBe("é".repeat(600_000))
})

test("an ampersand that was escaped 16,000 times takes no time", () => {
  const start = process.cpuUsage()
  expect(fixText(`é &${"amp;#38;AMP;#x26;".repeat(4000)}lt;&amp;&eacute;`)).toBe("é <&é")
  expect(process.cpuUsage(start).user / 1e6).toBeLessThan(1)
})

test("texts that need no repair stay as they are", () => {
  for (const text of ["", "a photo of a cat", "日本語の猫 — été", "a\tb\n\nc", "R&D <b>"])
    expect(fixText(text)).toBe(text)
})
