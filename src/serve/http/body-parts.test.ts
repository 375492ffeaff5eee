import { expect, test } from "vitest"
import { formParts, jsonValues } from "./body-parts.ts"

const form = (count: number, before = "") =>
  Buffer.from(`${before}${'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'.repeat(count)}--b--\r\n`)

test.each(["", "\r\n", "a preamble\r\n"])(
  "fields of a form are counted, whatever is before the first: %j",
  (before) => {
    for (const count of [0, 1, 2, 16, 17])
      expect(formParts(form(count, before), "multipart/form-data; boundary=b", 16)).toBe(count)
    expect(formParts(form(1000, before), 'multipart/form-data; boundary="b"', 16)).toBe(17)
  },
)

test.each([
  ["{}", 1],
  ['{"input":"a"}', 1],
  ['{"input":["a","b","c"]}', 4],
  ['{"input":"a,[{\\"b,\\\\","c":[]}', 3],
  ['"never closed,,,,', 0],
])("values of %s", (text, count) => expect(jsonValues(Buffer.from(text), 100)).toBe(count))
