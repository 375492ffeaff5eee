import { expect, test } from "vitest"
import { unescapeHtml } from "./html-entities.ts"
import { cleanText, endOfText, startOfText, Tokenizer } from "./tokenizer.ts"

const tokenizer = new Tokenizer()

test("a batch is padded with 0, or cut with end of text as the last id", () => {
  const { ids, shape } = tokenizer.encodeBatch(["a dog", "dog ".repeat(100)], 8)
  expect(shape).toEqual([2, 8])
  expect([...ids].map(Number)).toEqual([
    ...[startOfText, 320, 1929, endOfText, 0, 0, 0, 0],
    ...[startOfText, 1929, 1929, 1929, 1929, 1929, 1929, endOfText],
  ])
  expect(tokenizer.encodeBatch(["a"]).shape).toEqual([1, 77])
})

test("a text of exactly the context length is not cut", () => {
  const { ids } = tokenizer.encodeBatch(["dog ".repeat(6)], 8)
  expect(tokenizer.decode(ids)).toBe(`<start_of_text>${"dog ".repeat(6)}<end_of_text>`)
})

test("encoding is the same from the cache, and for words too long for it", () => {
  const words = `hippopotamus ${"x".repeat(100)} ${"日本語".repeat(40)}`
  expect(tokenizer.encode(words)).toEqual(tokenizer.encode(words))
  expect(tokenizer.decode(tokenizer.encode(words))).toBe(`<start_of_text>${words} <end_of_text>`)
})

test("every byte survives, and a word of 100,000 letters takes no more than seconds", () => {
  const text = Array.from({ length: 0x2000 }, (_, i) => String.fromCodePoint(0x21 + i * 13)).join("")
  const cleaned = cleanText(text)
  const decoded = tokenizer.decode(tokenizer.encode(text)).replaceAll(" ", "")
  expect(decoded).toBe(`<start_of_text>${cleaned.replaceAll(" ", "").toWellFormed()}<end_of_text>`)
  const long = Array.from({ length: 100_000 }, (_, i) => String.fromCharCode(97 + ((i * i * 7919 + i) % 26))).join("")
  expect(tokenizer.decode(tokenizer.encode(long))).toContain(long)
}, 20_000)

test("case is ignored as in the published pattern", () => {
  expect(tokenizer.encode("it'ſ")).toEqual([startOfText, 585, 6, 129, 379, endOfText])
  expect(tokenizer.encode("a\u0345b!\u0345!")).toEqual(tokenizer.encode("a b ! !"))
})

test("decoding stops at the first end of text and refuses ids outside the vocabulary", () => {
  expect(tokenizer.decode([320, endOfText, 1929])).toBe("a <end_of_text>")
  expect(() => tokenizer.decode([49408])).toThrow(RangeError)
})

test.each([
  // Named: with and without semicolon, by longest known prefix, unknown, case matters.
  ["&lt;&lt&LT;&notit;&notin;&NotEqualTilde;&lang;&rang;", "<<<¬it;∉≂̸\u27e8\u27e9"],
  ["AT&T &nosuch; &copycat &Copy; &;", "AT&T &nosuch; ©cat &Copy; &;"],
  // Numbers: windows-1252 in 128..159, characters that cannot be, and those that are dropped.
  ["&#65;&#x41;&#X41&#128;&#x9f;&#x81;", "AAA€Ÿ\x81"],
  ["&#0;&#xD800;&#x110000;&#99999999999999999999;", "\ufffd\ufffd\ufffd\ufffd"],
  ["a&#1;b&#x7f;c&#xfdd0;d&#xffff;e&#x1ffff;f&#11;g", "abcdefg"],
  ["&#13;&#10;&#9;&#12;", "\r\n\t\f"],
  ["&#; &#x; &#xg;", "&#; &#x; &#xg;"],
])("unescapes %s as Python does", (text, expected) => {
  expect(unescapeHtml(text)).toBe(expected)
})

test.each([
  ["entities are unescaped twice", "&amp;lt;b&amp;gt;", "<b>"],
  ["Python's whitespace", "a\x1c\x1d\x85\u2028\u3000b\x1fc", "a… bc"],
  ["no whitespace in Python", "<a&#xfeff;b\u200bc", "<a\ufeffb\u200bc"],
  ["trimmed", " \n a \u00a0", "a"],
  ["final sigma", "ΟΔΟΣ ΣΑΣ", "οδος σας"],
  ["a dotted capital I", "İstanbul", "i̇stanbul"],
])("cleans: %s", (_, text, expected) => {
  expect(cleanText(text)).toBe(expected)
})
