import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { npy } from "../../../bench/fuzz-seeds.ts"
import { zipArchive } from "../../../test/zip-archive.ts"
import { float16ToFloat32, float32ToFloat16 } from "../../core/arrays/half.ts"
import { UserError } from "../../core/errors.ts"
import { readNpz } from "./npz.ts"

const six = Float32Array.of(0, 1, 2, 3, 4, 5)
const arrays = new Map<string, Uint8Array>([
  ["f4.npy", npy("<f4", false, [2, 3], six)],
  ["columns.npy", npy("<f4", true, [2, 3], six, 2)],
  ["vector.npy", npy("<f4", true, [6], six)],
  ["f2.npy", npy("<f2", false, [6], float32ToFloat16(six), 3)],
  ["f8.npy", npy("<f8", false, [1, 2], Float64Array.of(0.1, -2))],
  ["i1.npy", npy("|i1", false, [2], Int8Array.of(-1, 2))],
  ["u1.npy", npy("|u1", false, [2], Uint8Array.of(255, 2))],
  ["i4.npy", npy("<i4", false, [1], Int32Array.of(-9))],
  ["i8.npy", npy("<i8", false, [], BigInt64Array.of(2n ** 60n))],
  ["b1.npy", npy("|b1", false, [3], Uint8Array.of(1, 0, 1))],
  ["none.npy", npy("<f4", true, [0, 7], new Float32Array(0))],
])

test.each([{}, { deflate: true }, { zip64: true }])("arrays of every type, written with %j", async (options) => {
  const found = await readNpz(zipArchive(arrays, options))
  expect([...found.keys()].map((name) => `${name}.npy`)).toEqual([...arrays.keys()])
  expect(found.get("f4")).toEqual({ dtype: "F32", shape: [2, 3], values: six })
  expect(found.get("columns")).toEqual({ dtype: "F32", shape: [2, 3], values: Float32Array.of(0, 2, 4, 1, 3, 5) })
  expect(found.get("vector")?.values).toEqual(six)
  expect(float16ToFloat32(found.get("f2")!.values as Uint16Array)).toEqual(six)
  expect(found.get("f8")).toEqual({ dtype: "F64", shape: [1, 2], values: Float64Array.of(0.1, -2) })
  expect(found.get("i1")).toEqual({ dtype: "I8", shape: [2], values: Int8Array.of(-1, 2) })
  expect(Uint8Array.from(found.get("u1")!.values as Uint8Array)).toEqual(Uint8Array.of(255, 2))
  expect(found.get("i4")).toEqual({ dtype: "I32", shape: [1], values: Int32Array.of(-9) })
  expect(found.get("i8")).toEqual({ dtype: "I64", shape: [], values: BigInt64Array.of(2n ** 60n) })
  expect(found.get("b1")).toMatchObject({ dtype: "BOOL", shape: [3] })
  expect(found.get("none")).toEqual({ dtype: "F32", shape: [0, 7], values: new Float32Array(0) })
})

test("three dimensions in Fortran's order, from a file", async () => {
  const folder = mkdtempSync(join(tmpdir(), "npz-"))
  const values = Float64Array.from({ length: 24 }, (_, i) => i)
  writeFileSync(join(folder, "a.npz"), zipArchive(new Map([["a.npy", npy("<f8", true, [2, 3, 4], values)]])))
  const { values: rows } = (await readNpz(join(folder, "a.npz"))).get("a")!
  const expected = Array.from({ length: 24 }, (_, i) => Math.floor(i / 12) + 2 * (Math.floor(i / 4) % 3) + 6 * (i % 4))
  expect([...rows]).toEqual(expected)
  rmSync(folder, { recursive: true })
})

const header = (text: string, data = new Uint8Array(0)) => {
  const bytes = Buffer.concat([npy("<f4", false, [0], data)])
  return Buffer.concat([bytes.subarray(0, 10), Buffer.from(text.padEnd(118)), data])
}

test.each<[string, Uint8Array, string]>([
  ["no array", Buffer.from("hello world, this is text"), "is not a NumPy array"],
  ["a cut header", npy("<f4", false, [6], six).subarray(0, 50), "the header needs 128 bytes of 50"],
  ["cut data", npy("<f4", false, [6], six).subarray(0, 140), "[6] of F32 is 24 bytes, stored are 12"],
  ["a huge shape", npy("<f4", false, [2 ** 40, 2 ** 40], six), "stored are 24"],
  ["big-endian numbers", npy(">f4", false, [6], six), "is big-endian"],
  ["objects", npy("|O", false, [6], six), "holds Python objects, which are not read"],
  ["texts", npy("<U4", false, [6], six), 'type "<U4" is not one of f2, f4'],
  ["records", header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"), "of a type with fields"],
  ["a missing field", header("{'descr': '<f4', 'shape': (1,), }"), "the header is damaged"],
  ["a negative size", header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), "the header is damaged"],
  ["a program", header("{'descr': '<f4', 'fortran_order': False, 'shape': (f(),), }"), "the header is damaged"],
])("%s is refused in one line that names the array", async (_, bytes, message) => {
  const error = await readNpz(zipArchive(new Map([["a.npy", bytes]])), "x.npz").catch((error) => error)
  expect(error).toBeInstanceOf(UserError)
  expect(error.message).toMatch(/^x\.npz, "a\.npy"[^\n]*$/)
  expect(error.message).toContain(message)
})
