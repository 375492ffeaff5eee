import { expect, test } from "vitest"
import { readNpyRow } from "./npy-row.ts"

/** A file as NumPy writes it, of any version. */
function npy(descr: string, shape: string, values: Buffer, version = 1): Buffer {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`
  const start = version === 1 ? 10 : 12
  const header = `${text.padEnd(Math.ceil((start + text.length + 1) / 64) * 64 - start - 1)}\n`
  const head = Buffer.alloc(start)
  head.write("\x93NUMPY", "latin1")
  head[6] = version
  if (version === 1) head.writeUInt16LE(header.length, 8)
  else head.writeUInt32LE(header.length, 8)
  return Buffer.concat([head, Buffer.from(header), values])
}

const bytes = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex")

// biome-ignore format: a table
test.each([
  ["<i8", "(2,)", "0300000000000000 ffffffffffffffff", [3, -1]],
  [">i8", "(1,)", "0000000000000102", [258]],
  ["<u8", "(1,)", "ffffffffffff1f00", [Number.MAX_SAFE_INTEGER]],
  ["<i4", "(2,)", "05000000 feffffff", [5, -2]],
  [">i4", "(1,)", "00000005", [5]],
  ["<u4", "(1,)", "ffffffff", [4294967295]],
  ["<i2", "(1,)", "feff", [-2]],
  ["<u2", "(1,)", "feff", [65534]],
  ["|i1", "(2,)", "01 ff", [1, -1]],
  ["|u1", "(2,)", "01 ff", [1, 255]],
  ["|b1", "(3,)", "01 00 01", [1, 0, 1]],
  ["<f2", "(2,)", "003c 00c0", [1, -2]],
  ["<f4", "(2,)", "0000803f 000020c1", [1, -10]],
  [">f4", "(1,)", "3f800000", [1]],
  ["<f8", "(1,)", "000000000000f03f", [1]],
  ["<i8", "()", "0700000000000000", [7]],
  ["<i8", "(0,)", "", []],
] as const)("%s of shape %s", (descr, shape, hex, expected) => {
  expect(readNpyRow(npy(descr, shape, bytes(hex)), "NAME")).toEqual(expected)
  expect(readNpyRow(npy(descr, shape, bytes(hex), 2), "NAME")).toEqual(expected)
})

// biome-ignore format: a table
test.each([
  ["a matrix", npy("<i8", "(1, 2)", Buffer.alloc(16)), "NAME: an array of shape [1,2], and a row was expected"],
  ["too few bytes", npy("<i8", "(3,)", Buffer.alloc(16)), 'NAME: 3 values of type "<i8", but 16 bytes'],
  ["very many values", npy("|u1", "(9000000000,)", Buffer.alloc(16)), 'NAME: 9000000000 values of type "|u1", but 16 bytes'],
  ["objects", npy("|O", "(1,)", Buffer.alloc(16)), 'NAME: type "|O" is not a number\'s'],
  ["texts", npy("<U3", "(1,)", Buffer.alloc(12)), 'NAME: type "<U3" is not a number\'s'],
  ["a number beyond 2^53", npy("<i8", "(1,)", bytes("ffffffffffffff7f")), "NAME: 9223372036854775807 is too large"],
  ["text", Buffer.from("1, 2"), "NAME is not a NumPy array"],
  ["a header that is cut", npy("<i8", "(1,)", Buffer.alloc(8)).subarray(0, 40), "NAME: the header needs 128 bytes of 40"],
])("%s is one line", (_, file, message) => {
  expect(() => readNpyRow(file, "NAME")).toThrow(message)
})
