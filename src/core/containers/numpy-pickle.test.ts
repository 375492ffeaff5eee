import { expect, test } from "vitest"
import { UserError } from "../errors.ts"
import { numpyPickle, readNumpyPickle } from "./numpy-pickle.ts"

// Written by NumPy 1.24 on Python 3.11: pickle.dumps(array, protocol), in base64.
const matrix: Readonly<Record<string, string>> = {
  "protocol 2":
    "gAJjbnVtcHkuY29yZS5tdWx0aWFycmF5Cl9yZWNvbnN0cnVjdApxAGNudW1weQpuZGFycmF5CnEBSwCFcQJjX2Nv" +
    "ZGVjcwplbmNvZGUKcQNYAQAAAGJxBFgGAAAAbGF0aW4xcQWGcQZScQeHcQhScQkoSwFLAksDhnEKY251bXB5CmR0" +
    "eXBlCnELWAIAAABmNHEMiYiHcQ1ScQ4oSwNYAQAAADxxD05OTkr/////Sv////9LAHRxEGKJaANYHQAAAAAAw4A/" +
    "AAAAw4AAAEBAAADCgEAAAMKgQAAAwoA+cRFoBYZxElJxE3RxFGIu",
  "protocol 3":
    "gANjbnVtcHkuY29yZS5tdWx0aWFycmF5Cl9yZWNvbnN0cnVjdApxAGNudW1weQpuZGFycmF5CnEBSwCFcQJDAWJx" +
    "A4dxBFJxBShLAUsCSwOGcQZjbnVtcHkKZHR5cGUKcQdYAgAAAGY0cQiJiIdxCVJxCihLA1gBAAAAPHELTk5OSv//" +
    "//9K/////0sAdHEMYolDGAAAwD8AAADAAABAQAAAgEAAAKBAAACAPnENdHEOYi4=",
  "protocol 4":
    "gASVogAAAAAAAACMFW51bXB5LmNvcmUubXVsdGlhcnJheZSMDF9yZWNvbnN0cnVjdJSTlIwFbnVtcHmUjAduZGFy" +
    "cmF5lJOUSwCFlEMBYpSHlFKUKEsBSwJLA4aUaAOMBWR0eXBllJOUjAJmNJSJiIeUUpQoSwOMATyUTk5OSv////9K" +
    "/////0sAdJRiiUMYAADAPwAAAMAAAEBAAACAQAAAoEAAAIA+lHSUYi4=",
  "protocol 5":
    "gAWVjQAAAAAAAACMEm51bXB5LmNvcmUubnVtZXJpY5SMC19mcm9tYnVmZmVylJOUKJYYAAAAAAAAAAAAwD8AAADA" +
    "AABAQAAAgEAAAKBAAACAPpSMBW51bXB5lIwFZHR5cGWUk5SMAmY0lImIh5RSlChLA4wBPJROTk5K/////0r/////" +
    "SwB0lGJLAksDhpSMAUOUdJRSlC4=",
  columns:
    "gAWVjQAAAAAAAACMEm51bXB5LmNvcmUubnVtZXJpY5SMC19mcm9tYnVmZmVylJOUKJYYAAAAAAAAAAAAwD8AAIBA" +
    "AAAAwAAAoEAAAEBAAACAPpSMBW51bXB5lIwFZHR5cGWUk5SMAmY0lImIh5RSlChLA4wBPJROTk5K/////0r/////" +
    "SwB0lGJLAksDhpSMAUaUdJRSlC4=",
  "columns, protocol 4":
    "gASVogAAAAAAAACMFW51bXB5LmNvcmUubXVsdGlhcnJheZSMDF9yZWNvbnN0cnVjdJSTlIwFbnVtcHmUjAduZGFy" +
    "cmF5lJOUSwCFlEMBYpSHlFKUKEsBSwJLA4aUaAOMBWR0eXBllJOUjAJmNJSJiIeUUpQoSwOMATyUTk5OSv////9K" +
    "/////0sAdJRiiEMYAADAPwAAgEAAAADAAACgQAAAQEAAAIA+lHSUYi4=",
  "NumPy 2":
    "gAJjbnVtcHkuX2NvcmUubXVsdGlhcnJheQpfcmVjb25zdHJ1Y3QKcQBjbnVtcHkKbmRhcnJheQpxAUsAhXECY19j" +
    "b2RlY3MKZW5jb2RlCnEDWAEAAABicQRYBgAAAGxhdGluMXEFhnEGUnEHh3EIUnEJKEsBSwJLA4ZxCmNudW1weQpk" +
    "dHlwZQpxC1gCAAAAZjRxDImIh3ENUnEOKEsDWAEAAAA8cQ9OTk5K/////0r/////SwB0cRBiiWgDWB0AAAAAAMOA" +
    "PwAAAMOAAABAQAAAwoBAAADCoEAAAMKAPnERaAWGcRJScRN0cRRiLg==",
  float64:
    "gAWVpQAAAAAAAACMEm51bXB5LmNvcmUubnVtZXJpY5SMC19mcm9tYnVmZmVylJOUKJYwAAAAAAAAAAAAAAAAAPg/" +
    "AAAAAAAAAMAAAAAAAAAIQAAAAAAAABBAAAAAAAAAFEAAAAAAAADQP5SMBW51bXB5lIwFZHR5cGWUk5SMAmY4lImI" +
    "h5RSlChLA4wBPJROTk5K/////0r/////SwB0lGJLAksDhpSMAUOUdJRSlC4=",
  "read-only":
    "gAWVhgAAAAAAAACMEm51bXB5LmNvcmUubnVtZXJpY5SMC19mcm9tYnVmZmVylJOUKEMYAADAPwAAAMAAAEBAAACA" +
    "QAAAoEAAAIA+lIwFbnVtcHmUjAVkdHlwZZSTlIwCZjSUiYiHlFKUKEsDjAE8lE5OTkr/////Sv////9LAHSUYksC" +
    "SwOGlIwBQ5R0lFKULg==",
}

const refused: Readonly<Record<string, string>> = {
  "big-endian":
    "gAWVjQAAAAAAAACMEm51bXB5LmNvcmUubnVtZXJpY5SMC19mcm9tYnVmZmVylJOUKJYYAAAAAAAAAD/AAADAAAAA" +
    "QEAAAECAAABAoAAAPoAAAJSMBW51bXB5lIwFZHR5cGWUk5SMAmY0lImIh5RSlChLA4wBPpROTk5K/////0r/////" +
    "SwB0lGJLAksDhpSMAUOUdJRSlC4=",
  objects:
    "gASVjAAAAAAAAACMFW51bXB5LmNvcmUubXVsdGlhcnJheZSMDF9yZWNvbnN0cnVjdJSTlIwFbnVtcHmUjAduZGFy" +
    "cmF5lJOUSwCFlEMBYpSHlFKUKEsBSwKFlGgDjAVkdHlwZZSTlIwCTziUiYiHlFKUKEsDjAF8lE5OTkr/////Sv//" +
    "//9LP3SUYoldlChOfZRldJRiLg==",
  integers:
    "gAWVjQAAAAAAAACMEm51bXB5LmNvcmUubnVtZXJpY5SMC19mcm9tYnVmZmVylJOUKJYYAAAAAAAAAAEAAAD+////" +
    "AwAAAAQAAAAFAAAAAAAAAJSMBW51bXB5lIwFZHR5cGWUk5SMAmk0lImIh5RSlChLA4wBPJROTk5K/////0r/////" +
    "SwB0lGJLAksDhpSMAUOUdJRSlC4=",
  "a list": "gAWVDQAAAAAAAABdlEc/8AAAAAAAAGEu",
  "a program": "gAWVHQAAAAAAAACMCGJ1aWx0aW5zlIwEZXZhbJSTlIwBMZSFlFKULg==",
}

const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "base64"))

test.each(Object.entries(matrix))("an array, %s", (name, text) => {
  const { dtype, shape, values } = readNumpyPickle(bytesOf(text), "emb")
  expect([dtype, shape]).toEqual([name === "float64" ? "F64" : "F32", [2, 3]])
  expect([...values]).toEqual([1.5, -2, 3, 4, 5, 0.25])
})

test.each([
  ["big-endian", "the array is big-endian"],
  ["objects", "the array's type is O8, not one of f2, f4, f8"],
  ["integers", "the array's type is i4"],
  ["a list", "the pickle is not a NumPy array"],
  ["a program", "the pickle asks for `builtins.eval`"],
])("%s is refused", (name, message) => {
  const read = () => readNumpyPickle(bytesOf(refused[name]!), "emb")
  expect(read).toThrow(UserError)
  expect(read).toThrow(`emb: ${message}`)
})

test("an array cut short anywhere, or of other sizes, is refused", () => {
  const bytes = bytesOf(matrix["protocol 5"]!)
  for (let end = 0; end < bytes.length; end++) {
    expect(() => readNumpyPickle(bytes.subarray(0, end), "emb"), `${end} bytes`).toThrow(/^emb: /)
  }
  expect(() => readNumpyPickle(numpyPickle(new Float32Array(6), 3, 3), "emb")).toThrow("is 36 bytes, and 24 are stored")
})

test("what is written is read", () => {
  const values = Float32Array.from({ length: 60_000 }, (_, i) => Math.sin(i))
  const read = readNumpyPickle(numpyPickle(values, 40, 1500), "emb")
  expect(read).toMatchObject({ dtype: "F32", shape: [40, 1500] })
  expect(read.values).toEqual(values)
})

test("bytes that are made of one text again and again are refused before they fill the memory", () => {
  // A memoized text of 1 MB, and its bytes (latin1), which stay on the stack.
  const text = `X\x40\x42\x0f\0${"a".repeat(1_000_000)}q\x01X\x06\0\0\0latin1q\x02c_codecs\nencode\nq\x03`
  const pickle = Uint8Array.from(Buffer.from(`\x80\x02${text}${"h\x03h\x01h\x02\x86R".repeat(5000)}.`, "latin1"))
  expect(() => readNumpyPickle(pickle, "emb")).toThrow(/^emb: with the values of its pickle it would take \d+ bytes/)
})
