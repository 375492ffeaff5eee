import { expect, test } from "vitest"
import { Random } from "../arrays/random.ts"
import { UserError } from "../errors.ts"
import { decodeText, textLines, utf8Chunks, withNewlines } from "./decode-text.ts"

const utf16 = (text: string) => Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from(text, "utf16le")])
const bigEndian = (text: string) => utf16(text).swap16()

test.each([
  ["UTF-8", Buffer.from("é\n🦋")],
  ["UTF-8 with a mark", Buffer.from("\ufeffé\n🦋")],
  ["UTF-16", utf16("é\n🦋")],
  ["UTF-16, big-endian", bigEndian("é\n🦋")],
])("%s is read", (_, bytes) => {
  expect(decodeText(bytes, "a.txt")).toBe("é\n🦋")
})

test.each([
  ["windows-1252", Buffer.from("caf\xe9", "latin1"), "a.txt, line 1 is not UTF-8"],
  ["a later line", Buffer.from("a\rb\r\nc\n\xfcber\n\xfc", "latin1"), "a.txt, line 4 is not UTF-8"],
  ["a cut letter", Buffer.from("a\né").subarray(0, -1), "a.txt, line 2 is not UTF-8"],
  ["half a letter of UTF-16", utf16("a\nb").subarray(0, -1), "a.txt, line 2 is not UTF-16, though"],
  ["a surrogate without its partner", utf16("a\n\ud83e b"), "a.txt, line 2 is not UTF-16, though"],
])("%s is refused with its line", (_, bytes, message) => {
  expect(() => decodeText(bytes, "a.txt")).toThrow(UserError)
  expect(() => decodeText(bytes, "a.txt")).toThrow(message)
})

test("UTF-16 without a mark is told, and a NUL within a text is not taken for it", () => {
  for (const bytes of [utf16("cat\ndog").subarray(2), bigEndian("cat\ndog").subarray(2)])
    expect(() => decodeText(bytes, "a.txt")).toThrow("a.txt is UTF-16 without a byte-order mark")
  for (const text of ["a\0b", "\0\0\0\0", "a\0", ""]) expect(decodeText(Buffer.from(text), "a.txt")).toBe(text)
})

test("a text that is cut may end within a letter", () => {
  expect(decodeText(Buffer.from("aé").subarray(0, 2), "a.txt", true)).toBe("a")
})

test("CR, LF and both end lines", () => {
  expect(textLines("a\rb\nc\r\nd\n\re")).toEqual(["a", "b", "c", "d", "", "e"])
})

async function* piecesOf(bytes: Uint8Array, random: Random): AsyncGenerator<Uint8Array> {
  yield bytes.subarray(0, 2)
  for (let at = 2; at < bytes.length; ) {
    const end = at + 1 + random.int(3)
    yield bytes.subarray(at, end)
    at = end
  }
}

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts).toString()
}

test("in pieces: UTF-16 becomes UTF-8, and a CR alone LF in its place, wherever the pieces end", async () => {
  const random = new Random(1)
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: random.int(12) }, () => random.pick(["a", "é", "🦋", "\r", "\n", "\r\n"])).join(
      "",
    )
    const expected = text.replaceAll(/\r(?!\n)/g, "\n")
    for (const bytes of [Buffer.from(`xx${text}`), utf16(`xx${text}`), bigEndian(`xx${text}`)]) {
      const read = await joined(withNewlines(utf8Chunks(piecesOf(bytes, random), "a.txt")))
      expect(read, JSON.stringify(text)).toBe(`xx${expected}`)
    }
  }
  await expect(joined(utf8Chunks(piecesOf(utf16("ab").subarray(0, -1), random), "a.txt"))).rejects.toThrow(
    "a.txt is not UTF-16",
  )
})
