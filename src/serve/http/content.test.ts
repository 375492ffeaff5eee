import { expect, test } from "vitest"
import { readBase64, readDataUri } from "./content.ts"

const bytes = Uint8Array.from({ length: 100 }, (_, i) => (i * 7) % 256)

test.each([1, 2, 3, 97, 98, 99])(
  "%i bytes in base64, with and without padding, line breaks, of the form for addresses",
  (count) => {
    const part = bytes.subarray(0, count)
    const base64 = Buffer.from(part).toString("base64")
    const forms = [
      ...[base64, base64.replace(/=+$/, ""), base64.replace(/(.{20})/g, "$1\r\n"), ` ${base64}\n`],
      Buffer.from(part).toString("base64url"),
    ]
    for (const form of forms) expect([...readBase64(form, "a")]).toEqual([...part])
    expect([...readDataUri(`data:image/jpeg;base64,${base64}`, "a")]).toEqual([...part])
  },
)

test.each(["", "=", "###", "AAAA#AAA", "AAAAA-=A!", "AA\0AAAAA", "<svg/>"])("%j is not base64", (text) => {
  expect(() => readBase64(text, "a")).toThrow("a is not base64")
})
