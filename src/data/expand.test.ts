import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { UserError } from "../core/errors.ts"
import { expandBraces, expandShards } from "./expand.ts"

// Expected values are what bash prints for `echo PATTERN`.
test.each([
  ["a.tar", ["a.tar"]],
  ["{00..02}.tar", ["00.tar", "01.tar", "02.tar"]],
  ["x{8..11}", ["x8", "x9", "x10", "x11"]],
  ["x{08..11}", ["x08", "x09", "x10", "x11"]],
  ["{3..1}", ["3", "2", "1"]],
  ["{0..6..3}", ["0", "3", "6"]],
  ["{a,b}/{0..1}.tar", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]],
  ["{{00..01}/{0,1},65/{7}}.tar", ["00/0.tar", "00/1.tar", "01/0.tar", "01/1.tar", "65/{7}.tar"]],
  ["{a,}b", ["ab", "b"]],
  ["{one}", ["{one}"]],
  ["{-01..1}", ["-01", "000", "001"]],
])("%s", (pattern, expected) => {
  expect(expandBraces(pattern)).toEqual(expected)
})

test("an open brace and a list without end are refused", () => {
  expect(() => expandBraces("x{0..3.tar")).toThrow("character 2 is not closed")
  expect(() => expandBraces("{0..9999999}")).toThrow("more than 1000000")
  expect(() => expandBraces("{0..9999}{0..9999}")).toThrow("more than 1000000")
})

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "expand-"))
  for (const name of ["1.tar", "0.tar", "info.json"]) await writeFile(join(folder, name), "")
})
afterAll(() => rm(folder, { recursive: true }))

test("folders, joined lists and arrays", async () => {
  const [first, second] = [join(folder, "0.tar"), join(folder, "1.tar")]
  expect(await expandShards(folder)).toEqual([first, second])
  expect(await expandShards(`${second}::${folder}/{0..1}.tar`)).toEqual([second, first, second])
  expect(await expandShards([second, first])).toEqual([second, first])
})

test("what names nothing is an error", async () => {
  await expect(expandShards("")).rejects.toThrow(UserError)
  await expect(expandShards(`${folder}/{0..2}.tar`)).rejects.toThrow(`${folder}/2.tar: no such shard or folder`)
  const empty = await mkdtemp(join(folder, "empty-"))
  await expect(expandShards(empty)).rejects.toThrow("holds no .tar file")
})
